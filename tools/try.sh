#!/bin/sh
# README's first command: makes the environment and takes the embedded digits the whole way, ending in a table and a report.
set -eu
cd "$(dirname "$0")/.."
. tools/environment.sh

base_packages
environment .venv -c constraints.txt -e '.[train,web,mqtt,dev,heic,imagenet,onnx,docs,litert-quantizer,3d]'
edgeclf=.venv/bin/edgeclf

say "training on the embedded digits"
"$edgeclf" train digits --out runs/digits --resume
say "compressing"
"$edgeclf" compress runs/digits --int8 --overwrite
say "measuring"
"$edgeclf" bench runs/digits --data digits --report runs/digits/bench/report.html --overwrite
say "done: open runs/digits/bench/report.html, or run: $edgeclf inspect runs/digits"
