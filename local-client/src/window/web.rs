//! Pictures in the page of a web client: its stage shows them over the canvas, so commands for windows become messages to it.

use offstage_protocol::message::Clip;
use offstage_protocol::message::HidePicture;
use offstage_protocol::message::PlacePicture;
use offstage_protocol::message::Rect;
use offstage_protocol::message::ToStageKind;

use crate::window::Placement;
use crate::window::WindowCommand;
use crate::window::region;

/// Outlines that the page cuts a picture by.
const MAX_CLIPS: usize = 3;

/// What the page is told; nothing of what only windows need.
#[must_use]
pub fn message(command: WindowCommand) -> Option<ToStageKind> {
    match command {
        WindowCommand::Place(placement) => {
            let player = placement.player;
            let hidden = ToStageKind::HidePicture(HidePicture { player });
            Some(place(&placement).map_or(hidden, ToStageKind::PlacePicture))
        }
        WindowCommand::Hide { player } => Some(ToStageKind::HidePicture(HidePicture { player })),
        // A box in the page has the size that its layout gives it, and goes with its player. The choice of a screen is the browser's.
        WindowCommand::EngineStarted { .. }
        | WindowCommand::EngineGone
        | WindowCommand::Expect { .. }
        | WindowCommand::Reserve { .. }
        | WindowCommand::Close { .. }
        | WindowCommand::Choose { .. } => None,
    }
}

/// The canvas shows the session's screen: where the session's browser is on it, as its page says, the picture is.
fn place(placement: &Placement) -> Option<PlacePicture> {
    let outer = placement.parent.outer?;
    let (left, top) = (outer.x.checked_neg()?, outer.y.checked_neg()?);
    // Smooth as the page's own; what has more of them is cut in steps, as windows are.
    let smooth = placement.clips.len() <= MAX_CLIPS && !region::is_too_much(&placement.clips);
    let (steps, mut clips): (&[Clip], Vec<Clip>) =
        if smooth { (&[], placement.clips.clone()) } else { (&placement.clips, Vec::new()) };
    let shape = region::shape(&placement.rect, &placement.visible, steps, left, top)?;
    region::move_by(&mut clips, placement.rect.x.checked_neg()?, placement.rect.y.checked_neg()?);
    let rect =
        Rect { x: shape.x.into(), y: shape.y.into(), width: shape.width.into(), height: shape.height.into() };
    let pieces = shape.pieces.iter().map(|piece| Rect {
        x: piece.x.into(),
        y: piece.y.into(),
        width: piece.width.into(),
        height: piece.height.into(),
    });
    Some(PlacePicture { player: placement.player, rect: Some(rect), visible: pieces.collect(), clips })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::ParentHint;

    fn placement(outer: Option<Rect>, rect: Rect, visible: Rect) -> WindowCommand {
        cut(outer, rect, visible, Vec::new())
    }

    fn cut(outer: Option<Rect>, rect: Rect, visible: Rect, clips: Vec<Clip>) -> WindowCommand {
        let parent = ParentHint { outer, ..ParentHint::default() };
        WindowCommand::Place(Placement { player: 3, parent, rect, visible: vec![visible], clips })
    }

    fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn a_picture_is_where_the_browser_is_on_the_session_s_screen() {
        let area = rect(10, 90, 640, 360);
        let sent = message(placement(Some(rect(60, 40, 1000, 800)), area, rect(10, 100, 640, 200)));
        let place = PlacePicture {
            player: 3,
            rect: Some(rect(70, 130, 640, 360)),
            visible: vec![rect(0, 10, 640, 200)],
            clips: Vec::new(),
        };
        assert_eq!(sent, Some(ToStageKind::PlacePicture(place)));
    }

    #[test]
    fn outlines_are_the_page_s_to_cut_unless_there_are_many() {
        let area = rect(10, 90, 40, 40);
        // The left half of it.
        let half = Clip { corners: vec![160, 1440, 480, 1440, 480, 2080, 160, 2080], even_odd: false };
        let seen = |clips: usize| match message(cut(
            Some(rect(0, 0, 99, 99)),
            area,
            area,
            vec![half.clone(); clips],
        )) {
            Some(ToStageKind::PlacePicture(place)) => (place.visible, place.clips),
            other => panic!("{other:?}"),
        };
        let moved = Clip { corners: vec![0, 0, 320, 0, 320, 640, 0, 640], even_odd: false };
        assert_eq!(seen(2), (vec![rect(0, 0, 40, 40)], vec![moved; 2]));
        let (pieces, clips) = seen(4);
        assert!(clips.is_empty() && pieces.iter().all(|piece| piece.width == 20), "{pieces:?}");
    }

    #[test]
    fn without_a_place_it_is_hidden() {
        let area = rect(10, 90, 640, 360);
        let hidden = Some(ToStageKind::HidePicture(HidePicture { player: 3 }));
        assert_eq!(message(placement(None, area, area)), hidden);
        assert_eq!(message(placement(Some(rect(i32::MIN, 0, 9, 9)), area, area)), hidden);
        assert_eq!(message(WindowCommand::Hide { player: 3 }), hidden);
        assert_eq!(message(WindowCommand::Close { player: 3 }), None);
    }
}
