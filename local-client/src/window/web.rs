//! Pictures in the page of a web client: its stage shows them over the canvas, so commands for windows become messages to it.

use offstage_protocol::message::HidePicture;
use offstage_protocol::message::PlacePicture;
use offstage_protocol::message::Rect;
use offstage_protocol::message::ToStageKind;

use crate::window::Placement;
use crate::window::WindowCommand;
use crate::window::region;

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
    let shape = region::shape(&placement.rect, &placement.visible, left, top)?;
    let rect =
        Rect { x: shape.x.into(), y: shape.y.into(), width: shape.width.into(), height: shape.height.into() };
    let pieces = shape.pieces.iter().map(|piece| Rect {
        x: piece.x.into(),
        y: piece.y.into(),
        width: piece.width.into(),
        height: piece.height.into(),
    });
    Some(PlacePicture { player: placement.player, rect: Some(rect), visible: pieces.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::ParentHint;

    fn placement(outer: Option<Rect>, rect: Rect, visible: Rect) -> WindowCommand {
        let parent = ParentHint { pids: Vec::new(), outer };
        WindowCommand::Place(Placement { player: 3, parent, rect, visible: vec![visible] })
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
        };
        assert_eq!(sent, Some(ToStageKind::PlacePicture(place)));
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
