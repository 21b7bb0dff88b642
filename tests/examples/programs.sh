#!/usr/bin/env bash
# programs.sh SHAPES EXPLAIN GALLERY SCOREBOARD WATCH PETS: runs the programs in a folder of their own and checks what a
# person would see.
set -u
shapes=$1 explain=$2 gallery=$3 scoreboard=$4 watch=$5 pets=$6
shared=${SIGHTGLASS_SHARED_DIR:-$(cd "$(dirname "$0")/../.." && pwd)/../shared}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
export OMP_NUM_THREADS=1

failed=0
fail() { echo "FAILED: $*"; failed=$((failed + 1)); }

# expect STATUS COMMAND...: keeps standard output in out, standard error in err.
expect() {
  local wanted=$1 status=0
  shift
  "$@" >out 2>err </dev/null || status=$?
  [ "$status" = "$wanted" ] || { fail "exit $status, expected $wanted: $*"; cat err; }
}
lacks() { ! grep -qF -e "$2" "$1" || { fail "$1 has: $2"; cat "$1"; }; }
has() { grep -qF -e "$2" "$1" || { fail "$1 lacks: $2"; cat "$1"; }; }
lines() { [ "$(wc -l <"$1")" = "$2" ] || { fail "$1 has $(wc -l <"$1") lines, expected $2"; cat "$1"; }; }
exists() { [ -s "$1" ] || fail "no file $1"; }
# same_map A B: two float32 arrays, whose headers take 128 bytes, agree to 1e-4 of the largest value.
same_map() {
  paste <(od -An -v -w4 -t f4 -j 128 "$1") <(od -An -v -w4 -t f4 -j 128 "$2") |
    awk 'NF != 2 { bad = 1 } { d = $1 - $2; if (d < 0) d = -d; if (d > worst) worst = d; if ($2 > top) top = $2 }
      END { exit !(NR > 0 && !bad && worst <= 1e-4 * top) }' || fail "$1 is another map than $2"
}
is_one_clear_line() { lines err 1 && ! grep -qE 'frame #|Exception raised' err || fail "more than a message: $(head -c 300 err)"; }

# shapes writes all it promises, and the same for the same seed.
expect 0 "$shapes" --out s --epochs 2 --pictures 64 --threads 1
has out "chance"
for file in s/grid.png s/shapes.pt s/labels.txt; do exists "$file"; done
expect 0 "$shapes" --out again --epochs 2 --pictures 64 --threads 1
cmp -s s/grid.png again/grid.png || fail "shapes: the same seed gave another grid"
expect 2 "$shapes" --epochs none
is_one_clear_line
pictures=(s/pictures/*.png)
[ "${#pictures[@]}" -ge 8 ] || fail "shapes wrote ${#pictures[@]} pictures"
one=${pictures[0]} two=${pictures[1]}

# shapes --detect and --segment: explain takes their files for what they are.
expect 0 "$shapes" --detect --out sd --epochs 2 --pictures 64 --threads 1
has out "objects found"
has out "other boxes"
has out "chance"
for file in sd/grid.png sd/shapes.pt sd/labels.txt; do exists "$file"; done
scenes=(sd/pictures/*.png)
expect 0 "$explain" sd/shapes.pt "${scenes[0]}" --score 0 --json --out found.png
lines out 10
for part in '"layer":"model.14"' '"method":"layer-cam"' '"label":"' '"box":[' '"inside":0.'; do has out "$part"; done
lacks out '"label":null'
expect 0 "$explain" sd/shapes.pt "${scenes[0]}" --score 1 --out found.png
has out "prepared as for Ultralytics (224 x 224, letterbox, values 0 to 1)"
has out "nothing found"
expect 0 "$shapes" --segment --out ss --epochs 2 --pictures 64 --threads 1
has out "mean IoU"
has out "other boxes"
for file in ss/grid.png ss/shapes.pt ss/labels.txt; do exists "$file"; done
expect 0 "$explain" ss/shapes.pt "${scenes[0]}" --labels ss/labels.txt --json --out seen.png
lines out 1
for part in '"layer":"encoder3"' '"method":"layer-cam"' '"pixels":' '"label":"'; do has out "$part"; done
expect 2 "$shapes" --detect --segment
is_one_clear_line

# One picture: top five, the map drawn over it.
expect 0 "$explain" s/shapes.pt "$one" --labels s/labels.txt --out one.png
has out "circle"
exists one.png

# No figure is made up: the network gives logits, whose softmax is shown where the task is told.
has out "score "
lacks out "%"
expect 0 "$explain" s/shapes.pt "$one" --json --out one.png
has out '"probability":null'
expect 0 "$explain" s/shapes.pt "$one" --labels s/labels.txt --task classify --out one.png
has out " %  score "
expect 0 "$explain" s/shapes.pt "$one" --task classify --json --out one.png
has out '"probability":0.'
for task in segment detect clasify binary; do
  expect 2 "$explain" s/shapes.pt "$one" --task $task --out one.png
  is_one_clear_line
done

# --task segment is for a score for each place.
expect 2 "$explain" s/shapes.pt "$one" --task segment --out one.png
has err "the model gives [1, 8], expected a score for each class and place, [N, classes, H, W]"
expect 2 "$gallery" s/shapes.pt "$one" --task segment --out one.png
has err "not served by the program yet"

# --task detect is for boxes.
expect 2 "$explain" s/shapes.pt "$one" --task detect --out one.png
has err "the model gives [1, 8], expected boxes"

# JSON: one object a line for each image, layer, method and target; nothing else on standard output.
expect 0 "$explain" s/shapes.pt "$one" "$two" --json --method cam,grad-cam --target 0 --target 1 --out all --raw raw
lines out 8
[ "$(grep -c '^{.*}$' out)" = 8 ] || fail "standard output is not JSON lines"
has out '"method":"grad-cam"'
has out '"peak":['
has out '"status":"'
[ "$(find raw -name '*.npy' | wc -l)" = 8 ] || fail "expected 8 raw maps"
[ "$(find all -name '*.png' | wc -l)" = 2 ] || fail "expected 2 pictures"

# A raw map is float32 [1, h, w], and can be read back as an input of the same kind.
head -c 128 "$(find raw -name '*.npy' | head -n 1)" | grep -qa "'<f4'.*(1, 14, 14)" || fail "raw: not a float32 [1, 14, 14] array"

# Folders, layers, lists.
expect 0 "$explain" s/shapes.pt s/pictures --json --out folder
lines out "${#pictures[@]}"
grep -o '^{"image":"[^"]*"' out >alone
OMP_NUM_THREADS=3 expect 0 "$explain" s/shapes.pt s/pictures --json --out at_once/
grep -o '^{"image":"[^"]*"' out | cmp -s - alone || fail "explained at once, pictures are told in another order"
for picture in at_once/*; do cmp -s "$picture" "folder/${picture#*/}" || fail "explained at once, $picture is another"; done

# What is there already is left out, and has the name that it had.
rm "$(find at_once -name '*.png' | sort | sed -n 2p)"
OMP_NUM_THREADS=2 expect 0 "$explain" s/shapes.pt s/pictures --json --out at_once/ --resume
lines out 1
has out "${pictures[1]}"
has err "16 files, 15 there already, 0 with errors"
mkdir twins && cp "$one" twins/ && head -c 3000 "$one" >twins/"$(basename "$two")"
expect 1 "$explain" s/shapes.pt twins/"$(basename "$two")" "$two" --out twin/
expect 1 "$explain" s/shapes.pt twins/"$(basename "$two")" "$two" --out twin/ --resume
has err "2 files, 1 there already, 1 with errors"

# Ctrl-C: whole files and a count; --resume goes on to the end.
mkdir many
for i in $(seq 60); do for picture in "${pictures[@]}"; do ln -s "../$picture" "many/${i}_${picture##*/}"; done; done
OMP_NUM_THREADS=2 "$explain" s/shapes.pt many --json --out drawn/ >out 2>err </dev/null &
until [ "$(ls drawn 2>/dev/null | wc -l)" -ge 20 ]; do kill -0 $! 2>/dev/null || break; sleep 0.05; done
kill -TERM $! && wait $!  # as Ctrl-C, which scripts' background jobs do not hear
[ $? = 130 ] || fail "explain did not end with 130 when it was interrupted"
done_then=$(find drawn -type f | wc -l)
has err "explain: $done_then done before it was interrupted, of 960 files, 0 with errors; --resume goes on from there"
lines out "$done_then"
OMP_NUM_THREADS=2 expect 0 "$explain" s/shapes.pt many --json --out drawn/ --resume
lines out $((960 - done_then))
has err "960 files, $done_then there already, 0 with errors"
[ "$(find drawn -type f | wc -l)" = 960 ] || fail "expected 960 pictures, found $(find drawn -type f | wc -l)"
expect 0 "$explain" s/shapes.pt "$one" --layer features.3,features --out layers.png
exists layers.png
expect 0 "$explain" s/shapes.pt --list-layers
has out ", the last map  <- taken without --layer"
expect 0 "$explain" --list-methods
has out "grad-cam"
expect 0 "$explain" --help
has out "--list-layers"

# Bad input: one clear line, a status of its own, the other images still done.
expect 1 "$explain" s/shapes.pt "$one" missing.png "$two" --json --out some
lines out 2
has err "missing.png"
echo "not a picture" >text.png
expect 1 "$explain" s/shapes.pt text.png --out t.png
is_one_clear_line
has err "text.png"
head -c 3000 "$one" >cut.png
expect 1 "$explain" s/shapes.pt cut.png --out t.png
is_one_clear_line
[ ! -e t.png ] || fail "a picture was written of a truncated file"
expect 1 "$explain" text.png "$one"
is_one_clear_line
head -c 2000 s/shapes.pt >cut.pt
expect 1 "$explain" cut.pt "$one"
is_one_clear_line
expect 1 "$explain" missing.pt "$one"
is_one_clear_line
expect 1 "$explain" "$one" s/shapes.pt
is_one_clear_line
has err "is a picture; the model comes first"

# Files of other kinds in the model's place: what they are, in one line.
: >empty.pt
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n' >pointer.pt
printf '<!DOCTYPE html><html></html>' >page.pt
printf '\002\0\0\0\0\0\0\0{}' >weights.pt
printf '\010\010\022\007pytorch' >onnx.pt
printf '\211HDF\r\n\032\n' >keras.pt
while read -r file words; do
  expect 1 "$explain" "$file" "$one"
  is_one_clear_line
  has err "$words"
done <<'END'
empty.pt is empty (0 bytes)
pointer.pt git lfs pull
page.pt a web page
weights.pt a safetensors file
onnx.pt an ONNX model
keras.pt an HDF5 file
END
expect 2 "$explain" s/shapes.pt "$one" --layer featurs
is_one_clear_line
has err '"features"'
expect 2 "$explain" s/shapes.pt "$one" --method gradcam
is_one_clear_line
has err "grad-cam"
expect 2 "$explain" s/shapes.pt "$one" --target 99
is_one_clear_line
expect 2 "$explain" s/shapes.pt "$one" --labels s/labels.txt --target circl
is_one_clear_line
has err '"circle"'
expect 2 "$explain" s/shapes.pt "$one" --size 0
is_one_clear_line

# Pictures as the model wants them; what is not said is ImageNet's, and the output says so.
expect 0 "$explain" s/shapes.pt "$one" --out one.png
has out "prepared as for ImageNet (224 x 224, RGB, mean 0.485,0.456,0.406, std 0.229,0.224,0.225)"
expect 0 "$explain" s/shapes.pt "$one" "$two" --json --out all
lacks out "ImageNet"
expect 0 "$explain" s/shapes.pt "$one" --mean 0.5 --std 0.5,0.5,0.25 --size 96x160 --fit letterbox --raw wide.npy --out one.png
lacks out "ImageNet"
head -c 128 wide.npy | grep -qa "'<f4'.*(1, 6, 10)" || fail "--size 96x160: not a [1, 6, 10] map"
expect 0 "$explain" s/shapes.pt "$one" --fit crop --size 112x224 --out one.png --json
while read -r options; do
  # shellcheck disable=SC2086  # words of options
  expect 2 "$explain" s/shapes.pt "$one" --out one.png $options
  is_one_clear_line
done <<'END'
--size 12x
--size 0x5
--size small
--fit squash
--mean 0.5
--mean 0.5,0.5 --std 0.5,0.5
--mean 0.5 --std 0
END
expect 2 "$explain"
is_one_clear_line

# Arrays of another number of channels: the network's own complaint in one line.
printf '\223NUMPY\001\000v\000' >five.npy
printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 32, 32), }" >>five.npy
head -c $((5 * 32 * 32 * 4)) /dev/zero >>five.npy
expect 1 "$explain" s/shapes.pt five.npy --out five.png
is_one_clear_line
printf '\223NUMPY\001\000v\000' >three.npy
printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 224, 224), }" >>three.npy
head -c $((3 * 224 * 224 * 4)) /dev/zero >>three.npy
expect 0 "$explain" s/shapes.pt three.npy --out three.png --json
lines out 1
head -c 500 three.npy >short.npy
expect 1 "$explain" s/shapes.pt short.npy --out short.png
is_one_clear_line

# What the shared cases are: figures as PyTorch's, and what the program does not serve refused in one line.
if [ -r "$shared/cases/cases.json" ]; then
  cases=$shared/cases
  expect 0 "$explain" "$cases/ends_softmax.pt" "$cases/picture.npy" --out case.png
  has out "64.6 %  score 0.64623"
  has out " 1.9 %  score 0.018644"
  expect 0 "$explain" "$cases/ends_log_softmax.pt" "$cases/picture.npy" --out case.png
  has out "64.6 %  score -0.43661"
  expect 0 "$explain" "$cases/ends_log_softmax.pt" "$cases/picture.npy" --out case.png --json
  has out '"score":-0.4366'
  has out '"probability":0.6462'
  for end in multi_label:0.86289 binary_sigmoid:0.4619 binary_logit:-0.15272 regression:-0.15272; do
    expect 0 "$explain" "$cases/ends_${end%:*}.pt" "$cases/picture.npy" --out case.png
    has out "score ${end#*:}"
    lacks out "%"
    expect 0 "$explain" "$cases/ends_${end%:*}.pt" "$cases/picture.npy" --out case.png --json
    has out '"probability":null'
  done
  expect 0 "$explain" "$cases/ends_multi_label.pt" "$cases/picture.npy" --out case.png --task multi-label
  has out "86.3 %  score 0.86289"
  expect 0 "$explain" "$cases/ends_binary_sigmoid.pt" "$cases/picture.npy" --out case.png --task binary
  has out "46.2 %  score 0.4619"
  expect 0 "$explain" "$cases/ends_binary_logit.pt" "$cases/picture.npy" --out case.png --task binary
  has out "46.2 %  score -0.15272"
  # Models of several inputs and outputs give the maps that are stored.
  while read -r model map options; do
    # shellcheck disable=SC2086  # words of options
    expect 0 "$explain" "$cases/$model" "$cases/picture.npy" --out case.png --raw case.npy $options
    same_map case.npy "$cases/$map"
  done <<END
two_inputs.pt two_inputs_grad_cam.npy --layer conv --target 1 --input table=$cases/table.npy
two_inputs_traced.pt two_inputs_grad_cam.npy --layer conv --target 1 --input table=$cases/table.npy
twice_traced.pt twice_first.npy --layer relu --target 1 --call 0
twice_scripted.pt twice_first.npy --layer relu --target 1 --call 0
twice_traced.pt twice_last.npy --layer relu --target 1
dict_output.pt dict_output_grad_cam.npy --layer features --target 3
dict_output.pt dict_output_grad_cam.npy --layer features --target 3 --output out
tuple_output.pt tuple_output_grad_cam.npy --layer features --target 1 --output 1
list_in_list_out.pt list_in_list_out_grad_cam.npy --layer features --target 3
END
  # Which run of a layer that has several is said, and what there is not is refused.
  expect 0 "$explain" "$cases/twice_traced.pt" "$cases/picture.npy" --layer relu --out case.png --json
  has out '"layer":"relu","call":1'
  is_one_clear_line
  has err 'layer "relu" runs 2 times: 0 to 1; call 1 is explained, the last; --call N chooses another'
  expect 2 "$explain" "$cases/twice_traced.pt" "$cases/picture.npy" --layer relu --out case.png --call 2
  is_one_clear_line
  has err '--call 2: layer "relu" runs 2 times: 0 to 1'
  expect 2 "$explain" "$cases/twice_traced.pt" "$cases/picture.npy" --layer relu --out case.png --call -1
  is_one_clear_line
  # Series and volumes.
  expect 0 "$explain" "$cases/series.pt" "$cases/series.npy" --layer features --target 3 --out series.png --raw case.npy
  same_map case.npy "$cases/series_grad_cam.npy"
  exists series.png
  has out "highest at x "
  expect 0 "$explain" "$cases/volume.pt" "$cases/volume.npy" --layer features --target 1 --out volume.png --raw case.npy --json
  same_map case.npy "$cases/volume_grad_cam.npy"
  exists volume.png
  grep -qE '"peak":\[[0-9]+,[0-9]+,[0-9]+\]' out || fail "no peak of three"
  expect 0 "$explain" "$cases/series.pt" "$cases/series.npy" --target 0 --target 1 --out several.png
  expect 1 "$explain" "$cases/volume.pt" "$one" --out case.png
  is_one_clear_line
  has err "the model's first convolution is 3-D; give a .npy array, [C, D, H, W]"
  expect 2 "$explain" "$cases/two_inputs.pt" "$cases/picture.npy" --out case.png
  is_one_clear_line
  has err "takes 2 inputs (image, table); beside the picture, which is image, give --input table=FILE.npy"
  expect 2 "$explain" "$cases/two_inputs.pt" "$cases/picture.npy" --out case.png --input tabel=row.npy
  is_one_clear_line
  has err "no such input; it takes image, table"
  expect 2 "$explain" "$cases/two_inputs.pt" "$cases/picture.npy" --out case.png --input table
  is_one_clear_line
  expect 1 "$explain" "$cases/two_inputs.pt" "$cases/picture.npy" --out case.png --input table=missing.npy
  is_one_clear_line
  has err 'array "missing.npy"'
  expect 1 "$explain" "$cases/dict_output.pt" "$cases/picture.npy" --out case.png --output logits
  is_one_clear_line
  has err 'output "logits": the model gives no such tensor; it gives "out", "aux"'
  expect 0 "$explain" "$cases/two_inputs.pt" "$cases/picture.npy" --list-layers --input table="$cases/table.npy"
  has out "conv "
  while read -r model input words; do
    expect 1 "$explain" "$cases/$model" "$cases/$input" --out case.png
    is_one_clear_line
    has err "$words"
  done <<'END'
series.pt picture.npy expected [C, L] or [N, C, L]: the model's first convolution is 1-D
checkpoint_with_a_tensor.pth picture.npy holds weights
END
  expect 0 "$explain" s/shapes.pt "$cases/twelve_bits.png" --out case.png
  is_one_clear_line
  has err "its values are 1 to 4093 of 0 to 65535, so that 17 grey levels are left"
  has err "such as --range 0,4095"
  expect 0 "$explain" s/shapes.pt "$cases/twelve_bits.png" --out case.png --range 0,4095
  lines err 0
else
  echo "SKIPPED: the shared cases: no $shared/cases"
fi
expect 2 "$explain" s/shapes.pt "$one" --range 5,4
is_one_clear_line

# gallery: all methods on one picture, each named with its time.
expect 0 "$gallery" s/shapes.pt "$one" --labels s/labels.txt --size 48 --out gallery.png
exists gallery.png
# legrad is left out: it needs a transformer.
for method in $("$explain" --list-methods | cut -d ' ' -f 1 | grep -v legrad) half-gone; do has out "$method "; done
lines err 0
expect 2 "$gallery" s/shapes.pt
is_one_clear_line
expect 1 "$gallery" s/shapes.pt missing.png
is_one_clear_line
expect 2 "$gallery" s/shapes.pt "$one" --labels s/labels.txt --target circl
is_one_clear_line

# scoreboard: a line a method and the levels to compare with, over pictures with boxes.
mkdir -p board/images board/collages
cp "$one" board/images/one.png
cp "$two" board/images/two.png
cp "$one" board/collages/both.png
printf 'file,class_index,class_name,x0,y0,x1,y1\none.png,0,circle,0,0,224,112\ntwo.png,1,"square, or box",0,0,112,112\n' >board/boxes.csv
printf 'file,class_index,x0,y0,x1,y1\nboth.png,0,0,0,224,224\n' >board/collages.csv
expect 0 "$scoreboard" s/shapes.pt board --methods grad-cam,random-cam --steps 2
lines out 6
has out "| grad-cam | "
has out "| random-cam | "
has out "| chance | 37.5 | 100.0 | 0.375 | "
has err "2 methods at features"
has err "2 photos, 1 objects in collages, 0 complaints"

# What cannot be used is named and skipped; the rest is judged.
printf 'one.png,0,circle,0,0,300,112\ntwo.png,1,square,0,0\nnone.png,0,circle,0,0,5,5\none.png,99,?,0,0,5,5\none.png,x,?,0,0,5,5\n' >>board/boxes.csv
expect 1 "$scoreboard" s/shapes.pt board --methods grad-cam --steps 1
lines out 5
has out "| chance | 37.5 | "
has err "2 photos, 1 objects in collages, 5 complaints"
has err "boxes.csv line 5: has 5 fields"
has err 'boxes.csv line 8: class_index: got "x"'
has err "images/one.png, class 0 is skipped: box: got x 0 to 300"
has err "images/one.png, class 99 is skipped: target: got class 99"
has err "none.png"
expect 1 "$scoreboard" s/shapes.pt missing
is_one_clear_line
echo "nothing" >board/boxes.csv
expect 1 "$scoreboard" s/shapes.pt board
is_one_clear_line
has err "names no column file"
expect 2 "$scoreboard" s/shapes.pt board --methods gradcam
is_one_clear_line
has err "grad-cam"
expect 2 "$scoreboard" s/shapes.pt
is_one_clear_line
rm board/boxes.csv
expect 2 "$scoreboard" s/shapes.pt board --layer featurs
is_one_clear_line
has err '"features"'
expect 0 "$scoreboard" s/shapes.pt board --methods grad-cam
has out "| chance | – | 100.0 | – |"

# watch: a dashboard, the figures beside it, and warnings in words where the network is broken.
expect 0 "$watch" --out w --batches 8 --batch-size 16 --threads 1 --watch --redraw 2
has out "MaxPool2d"
has out "no warnings"
for file in dashboard.png activations.jsonl activations.csv; do exists "w/$file"; done
lines w/activations.jsonl 8
[ "$(find w -type f | wc -l)" = 3 ] || fail "watch left more than its three files"
expect 0 "$watch" --out diverged --batches 16 --batch-size 16 --threads 1 --learning-rate 100
has out "warning: features.1: its activations are not finite"
expect 0 "$watch" --out dead --batches 8 --batch-size 16 --threads 1 --initialisation zero
has out "the layer is dead"
expect 0 "$watch" --out loud --batches 8 --batch-size 16 --threads 1 --initialisation large
has out "they explode"
expect 2 "$watch" --initialisation huge
is_one_clear_line
echo "in the way" >file
expect 1 "$watch" --out file --batches 1
is_one_clear_line

# pets: trains on pictures that it draws, shows its maps, and goes on to the same weights after it was killed.
small=(--pictures 24 --size 64 --batch 8 --threads 1 --workers 2)
expect 0 "$pets" --shapes "${small[@]}" --epochs 3 --out p
has out "epoch   train_loss  valid_loss  error_rate  time"
has out "vocabulary: circle square triangle"
has out "where Grad-CAM of the true class is highest: in the box in"
has out "; chance "
for file in p/explained.png p/overview.png p/dashboard.png p/weights.pt; do exists "$file"; done
"$pets" --shapes "${small[@]}" --epochs 3 --out killed >out 2>err </dev/null &
running=$!
until [ -e killed/part1.checkpoint ] || ! kill -0 "$running" 2>err; do sleep 0.05; done
kill -9 "$running" 2>err
wait "$running" 2>err
expect 0 "$pets" --shapes "${small[@]}" --epochs 3 --out killed
has out "0       "
cmp -s p/weights.pt killed/weights.pt || fail "pets: killed and resumed, its weights are others"
expect 1 "$pets" --shapes "${small[@]}" --epochs 4 --out killed
is_one_clear_line
has err "is of another run"
head -c 3000 p/part1.checkpoint >killed/part1.checkpoint
expect 1 "$pets" --shapes "${small[@]}" --epochs 3 --out killed
is_one_clear_line
has err "is damaged"

# A folder's broken picture is named and counted, the others are used; every one is judged once by folds.
mkdir pets_folder
for i in 0 1 2; do
  cp "${pictures[$i]}" "pets_folder/Cat_$i.png"
  cp "${pictures[$i]}" "pets_folder/dog_$i.png"
done
cp cut.png pets_folder/Broken_1.png
expect 0 "$pets" pets_folder --backbone tiny "${small[@]}" --epochs 0 --folds 3 --out folds --picture "$one"
lines err 1
has err "Broken_1.png"
has out "6 pictures, 1 skipped; vocabulary: dog cat"
has out "of 6 right"
has out "no CAM: "
rm pets_folder/Broken_1.png
expect 1 "$pets" missing
is_one_clear_line
expect 1 "$pets" pets_folder --backbone tiny --weights s/shapes.pt
is_one_clear_line
has err "torch::jit::load"
expect 1 "$pets" pets_folder --backbone tiny --weights p/weights.pt
is_one_clear_line
has err "lack "
expect 2 "$pets" pets_folder --backbone resnet19
is_one_clear_line
has err "resnet34"
expect 2 "$pets"
is_one_clear_line

# No input is ever written over.
cp "$one" keep.png
before=$(cksum <keep.png)
"$explain" s/shapes.pt keep.png --out keep.png >out 2>err </dev/null
[ "$before" = "$(cksum <keep.png)" ] || fail "an input was written over"

if [ "$failed" = 0 ]; then echo "all checks of the programs passed"; else echo "$failed checks of the programs failed"; fi
[ "$failed" = 0 ]
