#!/usr/bin/env bash
# Makes the media of the differential runs: 16 s with a number painted into each frame, in every codec and container, as files, HLS and DASH.
#
#   tests/differential/make.sh XTASK FOLDER        XTASK: the built xtask program
set -euo pipefail

xtask=$1 to=$2
mkdir -p "$to"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quiet=(-hide_banner -loglevel error -y -nostdin)
fragments=(-movflags +frag_keyframe+empty_moov+default_base_moof)
keys=(-g 30 -keyint_min 30 -sc_threshold 0)

"$xtask" clips frames --width 640 --height 360 --count 480 | ffmpeg -hide_banner -loglevel error -y \
  -f rawvideo -pix_fmt rgb24 -video_size 640x360 -framerate 30 -i - \
  -f lavfi -i "aevalsrc='0.2*sin(2*PI*(300+60*floor(t))*t)|0.2*sin(2*PI*(500+60*floor(t))*t)':s=48000:d=16" \
  -c:v libx264 -preset ultrafast -qp 8 -pix_fmt yuv420p -c:a pcm_s16le "$work/all.mkv"
from=("${quiet[@]}" -i "$work/all.mkv")

ffmpeg "${from[@]}" -c:v libx264 -preset veryfast -b:v 300k "${keys[@]}" -an "$work/h264.mp4"
ffmpeg "${from[@]}" -vf scale=320:180 -c:v libx264 -preset veryfast -b:v 120k "${keys[@]}" -an "$work/h264-small.mp4"
ffmpeg "${from[@]}" -c:v libx265 -preset ultrafast -b:v 200k -x265-params "keyint=30:min-keyint=30:log-level=error" -tag:v hvc1 -an "$work/hevc.mp4"
ffmpeg "${from[@]}" -c:v libsvtav1 -preset 12 -b:v 200k -g 30 -an "$work/av1.mp4" 2>/dev/null
ffmpeg "${from[@]}" -c:v libvpx -deadline realtime -cpu-used 8 -b:v 300k -g 30 -an "$work/vp8.webm"
ffmpeg "${from[@]}" -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -row-mt 1 -b:v 300k -g 30 -an "$work/vp9.webm"
ffmpeg "${from[@]}" -vf scale=320:180 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 120k -g 30 -an "$work/vp9-small.webm"
ffmpeg "${from[@]}" -vn -c:a aac -b:a 64k "$work/aac.mp4"
ffmpeg "${from[@]}" -vn -c:a libmp3lame -b:a 64k "$work/mp3.mp3"
ffmpeg "${from[@]}" -vn -c:a libopus -b:a 64k "$work/opus.webm"
ffmpeg "${from[@]}" -vn -c:a libvorbis "$work/vorbis.webm"
ffmpeg "${from[@]}" -vn -c:a flac -strict -2 "$work/flac.mp4"

mux() { ffmpeg "${quiet[@]}" -i "$work/$1" -i "$work/$2" -c copy "${@:4}" "$to/$3"; }
mux h264.mp4 aac.mp4 h264-aac.mp4 "${fragments[@]}"
mux h264.mp4 mp3.mp3 h264-mp3.mp4 "${fragments[@]}"
mux h264.mp4 flac.mp4 h264-flac.mp4 "${fragments[@]}" -strict -2
mux h264.mp4 opus.webm h264-opus.mp4 "${fragments[@]}"
mux hevc.mp4 aac.mp4 hevc-aac.mp4 "${fragments[@]}" -tag:v hvc1
mux av1.mp4 opus.webm av1-opus.mp4 "${fragments[@]}"
mux vp9.webm opus.webm vp9-opus.mp4 "${fragments[@]}"
clusters=(-cluster_time_limit 1000)
mux vp8.webm vorbis.webm vp8-vorbis.webm "${clusters[@]}"
mux vp9.webm opus.webm vp9-opus.webm "${clusters[@]}"
mux av1.mp4 opus.webm av1-opus.webm "${clusters[@]}"
mux h264.mp4 aac.mp4 h264-aac.ts -muxdelay 0 -muxpreload 0
mux h264.mp4 aac.mp4 h264-aac.flv
mux h264.mp4 aac.mp4 file.mp4 -movflags +faststart
mux h264.mp4 aac.mp4 late-index.mp4
mux vp9.webm opus.webm file.webm
for audio in aac flac; do ffmpeg "${quiet[@]}" -i "$work/$audio.mp4" -c copy -strict -2 -movflags +empty_moov+default_base_moof -frag_duration 1000000 "$to/$audio.mp4"; done
for audio in opus vorbis; do ffmpeg "${quiet[@]}" -i "$work/$audio.webm" -c copy "${clusters[@]}" "$to/$audio.webm"; done
cp "$work/mp3.mp3" "$to/mp3.mp3"

hls() { # folder, segment type, more options
  mkdir -p "$to/$1"
  ffmpeg "${quiet[@]}" -i "$work/h264.mp4" -i "$work/h264-small.mp4" -i "$work/aac.mp4" -map 0:v -map 2:a -map 1:v -map 2:a -c copy \
    -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type "$2" "${@:3}" -master_pl_name master.m3u8 \
    -var_stream_map "v:0,a:0 v:1,a:1" -hls_segment_filename "$to/$1/%v-%03d.${2/mpegts/ts}" "$to/$1/%v.m3u8"
}
hls hls-ts mpegts
hls hls-fmp4 fmp4
printf 'offstage-test-16' >"$work/key"
printf 'key\n%s\n00000000000000000000000000000007\n' "$work/key" >"$work/keyinfo"
hls hls-aes mpegts -hls_key_info_file "$work/keyinfo"
cp "$work/key" "$to/hls-aes/key"

dash() { # folder, video, small video, audio
  mkdir -p "$to/$1"
  ffmpeg "${quiet[@]}" -i "$work/$2" -i "$work/$3" -i "$work/$4" -map 0:v -map 1:v -map 2:a -c copy -f dash -seg_duration 2 \
    -use_template 1 -use_timeline 1 -adaptation_sets "id=0,streams=v id=1,streams=a" "$to/$1/manifest.mpd"
}
dash dash-h264 h264.mp4 h264-small.mp4 aac.mp4
dash dash-vp9 vp9.webm vp9-small.webm opus.webm


# A minute of live stream, each segment in four chunks.
mkdir -p "$to/dash-live"
ffmpeg "${quiet[@]}" -stream_loop 3 -i "$to/h264-aac.mp4" -map 0:v -map 0:a -c copy -f dash -seg_duration 2 -use_template 1 -use_timeline 0 \
  -ldash 1 -streaming 1 -frag_type duration -frag_duration 0.5 -adaptation_sets "id=0,streams=v id=1,streams=a" "$to/dash-live/manifest.mpd"
