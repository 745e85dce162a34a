# Bad input as a user meets it: the message says what, where, why and what to do, the exit code is
# the documented one, and nothing is left behind.

load support/cli.bash

setup_file() {
    export RUN=$BATS_FILE_TMPDIR/run
    tiny "$RUN" || return 1
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    mkdir -p d
    IMAGES=d/train-images-idx3-ubyte LABELS=d/train-labels-idx1-ubyte
}

# Training on folder d fails with CODE, says each TEXT, and makes no folder.
refused() { # CODE TEXT...
    local code=$1 text
    shift
    fails_with "$code" "$CUPEL" train "$TINY" --data d --out out
    for text in "$@"; do says "$text"; done
    [ ! -e out ] || { echo "a folder is left"; return 1; }
}

# The sample's images with the bytes at the front replaced.
with_header() { # BYTES (as for printf)
    zcat "$SAMPLE/train-labels-idx1-ubyte.gz" >"$LABELS"
    { printf "$1"; head -c 1000 /dev/zero; } >"$IMAGES"
}

@test "truncated IDX files, at every part of the header and in the values" {
    zcat "$SAMPLE/train-labels-idx1-ubyte.gz" >"$LABELS"
    local length
    for length in 0 3 4 15 16 100000; do
        zcat "$SAMPLE/train-images-idx3-ubyte.gz" | head -c $length >"$IMAGES" || true
        refused 3 "$IMAGES is truncated" "fetch it again"
    done
}

@test "files that are no IDX files, and what they are instead" {
    zcat "$SAMPLE/train-labels-idx1-ubyte.gz" >"$LABELS"
    echo '<!DOCTYPE html><html>' >"$IMAGES"
    refused 3 "$IMAGES is not an IDX file" "web page"
    cp "$CUPEL_SOURCE_DIR/tests/support/sneaker.png" "$IMAGES"
    refused 3 "PNG"
    cp "$TINY" "$IMAGES"
    refused 3 "begins with 23 20 41 20" "IDX format"
    cp "$LABELS" "$IMAGES"
    refused 3 "file of labels?"
    with_header '\0\0\016\003\0\0\0\001\0\0\0\034\0\0\0\034'
    refused 3 "doubles"
    with_header '\0\0\010\377'
    refused 3 "255 axes"
}

@test "sizes that overflow, and sizes of nothing" {
    with_header '\0\0\010\003\377\377\377\377\377\377\377\377\377\377\377\377'
    refused 3 "header is damaged"
    with_header '\0\0\010\003\0\1\0\0\0\1\0\0\0\0\0\1'
    refused 3 "announces 4294967296 values"
    with_header '\0\0\010\003\0\0\0\0\0\0\0\034\0\0\0\034'
    refused 3 "extent of its axis 0 is 0"
    with_header '\0\0\010\003\0\0\0\001\0\0\0\034\0\0\0\034'
    refused 3 "bytes follow the 784 values"
}

@test "corrupt gzip: cut, wrong bytes, wrong sum, rest behind the end" {
    local gz=$SAMPLE/train-images-idx3-ubyte.gz bad=$IMAGES.gz size place
    cp "$SAMPLE/train-labels-idx1-ubyte.gz" d
    size=$(stat -c %s "$gz")
    for place in 2 11 $((size - 9)) $((size - 1)); do
        head -c "$place" "$gz" >"$bad"
        refused 3 "$bad is a damaged gzip file: it is truncated" "fetch it again"
    done
    for place in 3 100 $((size - 6)) $((size - 2)); do
        cp "$gz" "$bad"
        printf '\377' | dd of="$bad" bs=1 seek="$place" conv=notrunc status=none
        refused 3 "$bad is a damaged gzip file" "fetch it again"
    done
    { cat "$gz"; echo; } >"$bad"
    refused 3 "bytes follow its end"
}

@test "a count of labels that differs from that of the images" {
    cp "$SAMPLE/train-images-idx3-ubyte.gz" d
    cp "$SAMPLE/t10k-labels-idx1-ubyte.gz" "$LABELS.gz"
    refused 3 "$LABELS.gz has 1000 labels" "$IMAGES.gz has 4000 images" "fetch both again"
    cp "$SAMPLE/train-images-idx3-ubyte.gz" "$LABELS.gz"
    refused 3 "file of images?"
    rm "$LABELS.gz"
    refused 4 "train-labels-idx1-ubyte"
}

# A recipe of these lines is refused by train, with the line and each TEXT.
recipe_refused() { # LINES TEXT...
    local text
    printf '%b' "$1" >r.yaml
    shift
    fails_with 3 "$CUPEL" train r.yaml --data "$RECIPES" --out out
    says "r.yaml:"
    for text in "$@"; do says "$text"; done
    [ ! -e out ]
}

@test "misspelt keys and sections: the nearest known one" {
    recipe_refused 'train:\n  epocs: 3\n' 'r.yaml:2' 'train.epocs' 'did you mean train.epochs?'
    recipe_refused 'epochs: 3\n' 'did you mean train.epochs?'
    recipe_refused 'trian:\n  epochs: 3\n' 'no section trian' 'did you mean train?'
    recipe_refused 'dat:\n  set: x\n' 'did you mean data?'
    recipe_refused 'train: 3\n' 'train is a section' 'such as train.'
    recipe_refused 'train:\n  epochs: {a: 3}\n' 'train.epochs is a value, not a section'
    fails_with 2 "$CUPEL" train "$TINY" --data "$RECIPES" --set train.epoch=3
    says 'train.epochs'
}

@test "traps of YAML" {
    recipe_refused 'train:\n  epochs: 1e1\n' 'write 10'
    recipe_refused 'train:\n  epochs: 016\n' 'octal'
    recipe_refused 'train:\n  epochs: 0x10\n' 'not decimal'
    recipe_refused 'train:\n  epochs: 1_000\n' 'separators'
    recipe_refused 'train:\n  epochs: no\n' '"no" is not a whole number'
    recipe_refused 'model:\n  name: no\n' '"no" is not one of conv-vae|mlp-vae'
    recipe_refused 'train:\n\tepochs: 3\n' 'r.yaml:2' 'tab'
    recipe_refused 'train:\n  epochs: "3"\n' 'in quotes'
    recipe_refused 'train:\n  epochs:\n' 'no value'
    recipe_refused 'train:\n  learning_rate: 0,5\n' 'decimal sign is a point'
    recipe_refused 'seed: 1\nseed: 2\n' 'twice' 'line 1'
    recipe_refused 'seed: &a 1\n' 'anchors'
    recipe_refused 'seed: 1\n---\nseed: 2\n' 'second document'
    recipe_refused '' 'empty'
    recipe_refused '{' 'not valid YAML'
}

@test "harmless forms are read: 1e-3, BOM, CRLF, tabs between key and value" {
    sed 's/\(  epochs: 3\)/\1\n  learning_rate: 1e-3/' "$TINY" >plain.yaml
    { printf '\357\273\277'; sed -e 's/$/\r/' -e 's/: \([0-9]\)/:\t\1/' plain.yaml; } >odd.yaml
    "$CUPEL" train plain.yaml --data "$RECIPES" --out plain --quiet
    "$CUPEL" train odd.yaml --data "$RECIPES" --out odd --quiet
    cmp plain/config.yaml odd/config.yaml
    same_run plain odd
    same_run plain "$RUN"
}

@test "files that are no recipes: what they are instead" {
    local command
    cp "$CUPEL_SOURCE_DIR/tests/support/sneaker.png" sheet.png
    cp "$RUN/best.safetensors" w.safetensors
    truncate -s 500000 w.safetensors # a recipe may have 1 MiB
    printf 'a: \0\n' >zero.yaml
    for command in inspect train; do
        fails_with 3 "$CUPEL" "$command" sheet.png
        says "sheet.png is no recipe: it is a PNG image; give a YAML file, such as"
        fails_with 3 "$CUPEL" "$command" w.safetensors
        says "w.safetensors is no recipe: it is a safetensors file"
        fails_with 3 "$CUPEL" "$command" "$SAMPLE/t10k-labels-idx1-ubyte.gz"
        says "it is a gzip file"
        fails_with 3 "$CUPEL" "$command" zero.yaml
        says "zero.yaml is no recipe: it is a file of bytes and not of text"
    done
}

@test "files that are no weights and no images: what they are, and what to do" {
    fails_with 3 "$CUPEL" score "$SAMPLE/t10k-images-idx3-ubyte.gz" x
    says "is not a safetensors file: it is a gzip file; give weights, such as RUN/best.safetensors"
    cp "$TINY" text.png
    fails_with 3 "$CUPEL" score "$RUN" text.png
    says "text.png is not a PNG file; save it as PNG, or leave it out"
    printf '\377\330\377\340 and more' >photo.png
    fails_with 3 "$CUPEL" score "$RUN" photo.png
    says "photo.png is not a PNG file: it is a JPEG image; save it as PNG, or leave it out"
    head -c 100 "$CUPEL_SOURCE_DIR/tests/support/sneaker.png" >cut.png
    fails_with 3 "$CUPEL" score "$RUN" cut.png
    says "cut.png is a damaged PNG file: it is truncated; copy or save it again"
    mkdir none other
    fails_with 3 "$CUPEL" score "$RUN" none
    says "nor PNG files: give a folder that does, or image files"
    touch other/a.jpg
    fails_with 3 "$CUPEL" score "$RUN" other
    says "nor PNG files, only others such as a.jpg: give"
}

@test "wrong types and ranges" {
    recipe_refused 'train:\n  epochs: 0\n' 'at least 1'
    recipe_refused 'train:\n  epochs: 3.5\n' 'not a whole number'
    recipe_refused 'train:\n  epochs: [3]\n' 'not a list'
    recipe_refused 'train:\n  learning_rate: 0\n' 'above 0'
    recipe_refused 'train:\n  learning_rate: nan\n' 'not a number'
    recipe_refused 'train:\n  momentum: 1\n' 'below 1'
    recipe_refused 'seed: -1\n' 'at least 0'
    recipe_refused 'seed: 9007199254740993\n' 'at most 9007199254740991'
    recipe_refused 'data:\n  normal_classes: 1\n' 'write [1]'
    recipe_refused 'data:\n  normal_classes: [1, 1]\n' 'twice'
    recipe_refused 'name: ../x\n' 'cannot name a folder'
    recipe_refused 'precision: fp64\n' 'fp32|bf16'
    recipe_refused 'model: {image: 8}\ndata: {pad: 4}\n' 'leave nothing'
    fails_with 2 "$CUPEL" train "$TINY" --data "$RECIPES" --out out --epochs 0
    says 'at least 1'
    local value
    for value in 18446744073709551615 99999999999999999999 -99999999999999999999; do
        fails_with 2 "$CUPEL" train "$TINY" --data "$RECIPES" --out out --seed "$value"
        says "--seed: seed: $value is out of range; it must be at least 0 and at most"
        fails_with 2 "$CUPEL" train "$TINY" --data "$RECIPES" --out out --epochs "$value"
        says "train.epochs: $value is out of range; it must be at least 1 and at most 1000000"
    done
    fails_with 2 "$CUPEL" train "$TINY" --data "$RECIPES" --out out --lr fast
    says '"fast" is not a number'
    [ ! -e out ]
}

@test "a batch larger than the set" {
    fails_with 3 "$CUPEL" train "$TINY" --data "$RECIPES" --out out --batch 211
    says "--batch: train.batch is 211"
    says "only 210 training images"
    [ ! -e out ]
}

@test "a German locale, also switched on inside the program, changes no byte" {
    # The locale does what it is here for.
    in_german true
    [ "$(env LOCPATH="$BATS_FILE_TMPDIR/german" LC_ALL=de_DE.UTF-8 locale decimal_point)" = , ]
    "$CUPEL" score "$RUN" "$SAMPLE" >want.csv
    "$CUPEL" eval "$RUN" --data "$RECIPES" >want.txt
    "$CUPEL" eval "$RUN" --data "$RECIPES" --json >want.json
    in_german "$CUPEL" train "$TINY" --data "$RECIPES" --out german --lr 1e-3 --quiet
    same_run "$RUN" german
    cmp "$RUN/config.yaml" german/config.yaml
    if grep -E '[0-9],[0-9]' german/metrics.jsonl; then false; fi
    in_german "$CUPEL" score "$RUN" "$SAMPLE" | cmp - want.csv
    in_german "$CUPEL" eval "$RUN" --data "$RECIPES" | cmp - want.txt
    in_german "$CUPEL" eval "$RUN" --data "$RECIPES" --json | cmp - want.json
    fails_with 2 in_german "$CUPEL" train "$TINY" --lr 0,5
    says "decimal sign is a point"
}

# The weights of the run with header and data changed by a piece of Perl ($h, $d).
changed() { # PERL
    perl -e 'local $/; open my $in, "<:raw", $ARGV[0] or die; my $file = <$in>;
        my $n = unpack "Q<", $file; my ($h, $d) = (substr($file, 8, $n), substr($file, 8 + $n));
        my $size; eval $ARGV[2]; die $@ if $@;
        open my $out, ">:raw", $ARGV[1] or die;
        print $out pack("Q<", $size // length $h), $h, $d;' \
        "$RUN/best.safetensors" c.safetensors "$1"
}

weights_refused() { # PERL TEXT...
    local text
    changed "$1"
    shift
    run --separate-stderr "$CUPEL" score c.safetensors "$SAMPLE"
    [ "$status" -eq 3 ] || { echo "exit code $status: $stderr"; return 1; }
    [ -z "$output" ]
    output=$stderr
    says c.safetensors
    for text in "$@"; do says "$text"; done
}

@test "recipe and weights that do not fit: both shapes are named" {
    weights_refused '$h =~ s/latent: 5/latent: 6/' "encoder.mu.weight" "[5, 100]" "[6, 100]" \
        "give the weights of this recipe"
    weights_refused '$h =~ s/image: 28/image: 32/' "[100, 784]" "[100, 1024]"
    weights_refused '$h =~ s/encoder/another/' "no tensor 'encoder.fc.weight'"
    weights_refused '$h =~ s/cupel.recipe/cupel.letter/' "no recipe"
    weights_refused '$h =~ s/cupel-1/cupel-9/' "cupel-9" "use the version that wrote it"
    weights_refused '$h =~ s/latent: 5/latent: x/' "model.latent"
    weights_refused '$h =~ s/(cupel.threshold":")[^"]*/$1nan/' "threshold" "copy it again"
}

# With little address space, where no sanitizer wants all of it: what would take much fails.
limited() { # COMMAND...
    if grep -q __asan_init "$CUPEL"; then "$@"; else (ulimit -v 2000000 && exec "$@"); fi
}

@test "a recipe in weights or state that asks for a huge network: refused at once, both shapes named" {
    local larger='$h =~ s/image: 28/image: 1024/; $h =~ s/latent: 5/latent: 4096/;
        $h =~ s/hidden: \[100\]/hidden: [4096]/' began=$SECONDS
    changed "$larger"
    fails_with 3 limited "$CUPEL" score c.safetensors "$SAMPLE"
    says "c.safetensors: tensor 'encoder.fc.weight' is f32 [100, 784] in the file and f32 [4096, 1048576]"
    fails_with 3 limited "$CUPEL" eval c.safetensors --data "$RECIPES"
    says "[4096, 1048576]"
    cp -r "$RUN" huge
    cp huge/state.safetensors huge/best.safetensors
    RUN=huge changed "$larger"
    cp c.safetensors huge/state.safetensors
    rm huge/config.yaml
    fails_with 3 limited "$CUPEL" train --resume huge --epochs 4
    says "huge/state.safetensors cannot be gone on with: tensor 'encoder.fc.weight' is f32 [100, 784]"
    says "[4096, 1048576]"
    [ $((SECONDS - began)) -lt 60 ]
}

@test "preprocessing that is not what the recipe beside it asks for: both are named" {
    weights_refused '$h =~ s/(pad\\":) 0/$1 2/' '"pad": 2' '"pad": 0' "contradict"
    weights_refused '$h =~ s/  pad: 0/  pad: 2/' '"pad": 2' '"pad": 0' "contradict"
    weights_refused '$h =~ s/\[0, 1\]\}/[0, 255]}/' '[0, 255]' '[0, 1]'
    weights_refused '$h =~ s/(height\\":) 28/$1 29/' '"height": 29' '"height": 28'
    changed '$h =~ s/(cupel.preprocessing":"[^}]*?), /$1,/' # written by another library
    "$CUPEL" score c.safetensors "$SAMPLE" | cmp - <("$CUPEL" score "$RUN" "$SAMPLE")
    changed '$h =~ s/cupel.preprocessing/cupel.nothing/'
    "$CUPEL" score c.safetensors "$SAMPLE" | cmp - <("$CUPEL" score "$RUN" "$SAMPLE")
}

@test "a class that no image has: where, the key, and what there is" {
    local text
    refused_class() { # KEY=LIST TEXT TEXT [option...]
        local setting=$1 first=$2 second=$3
        shift 3
        fails_with 3 "$CUPEL" train "$TINY" --data "$RECIPES" --out out --set "$setting" "$@"
        for text in "--set: ${setting%%=*}: no " "$SAMPLE has class" "and there are" \
            "take it out of the list" "$first" "$second"; do says "$text"; done
        [ ! -e out ]
    }
    refused_class 'data.normal_classes=[1,55]' "class 55" "no training image in"
    refused_class 'data.normal_classes=[55]' "class 55" "there are 1, 5, 7 to 9:"
    refused_class 'data.normal_classes=[1,6]' "class 6" "there are 1, 5, 7 to 9:" \
        --set 'data.anomaly_classes=[0]' # class 6 is among the test images alone
    refused_class 'data.anomaly_classes=[0,300]' "class 300" "there are 0 to 9:"
    refused_class 'data.anomaly_classes=[55]' "class 55" "there are 0 to 9:"
    mkdir -p two/first two/second
    cp "$SAMPLE"/* two/first
    cp "$SAMPLE"/* two/second
    fails_with 3 "$CUPEL" train "$TINY" --data two --out out --set data.set=first \
        --set anomaly.foreign_set=second --set anomaly.foreign_classes=[0,10]
    says "--set: anomaly.foreign_classes: no image in two/second has class 10, and there are 0 to 9:"
    tiny out --epochs 1 --set data.anomaly_classes=[0] # in the test images alone
}

@test "damaged and truncated safetensors, header sizes up to 2^64" {
    local size
    for size in 0 1 2 4096 100000000 4294967296 9223372036854775807 9223372036854775808 \
        18446744073709551615; do
        weights_refused "\$size = '$size'" "again"
    done
    weights_refused '$h = $d = ""' "shorter than 10 bytes"
    weights_refused '$d = substr($d, 0, -1)' "truncated or damaged"
    weights_refused '$d .= "x"' "bytes follow"
    weights_refused '$h = "[]"' "does not begin with {"
    weights_refused '$h = "{" x 100000' "JSON"
    weights_refused '$h =~ s/"F32"/"F16"/' "F16" "convert it"
    weights_refused '$h =~ s/"F32"/"F99"/' "F99"
    weights_refused '$h =~ s/"F32"/"F64"/' "needs 627200 bytes"
    weights_refused '$h =~ s/"shape":\[100,784/"shape":[9223372036854775807,784/' "overflows"
    weights_refused '$h =~ s/"shape":\[100,784/"shape":[-1,784/' "negative"
    weights_refused '$h =~ s/offsets":\[0,/offsets":[4,/' "span"
    weights_refused '$h =~ s/offsets":\[0,\d+/offsets":[0,18446744073709551615/' "64 bits"
    weights_refused '$h =~ s/"data_offsets"/"data_offset"/' "unknown or occurs twice"
}

# The state of a copied run, changed in the same way.
state_refused() { # PERL TEXT...
    local text
    rm -rf q
    cp -r "$RUN" q
    cp q/state.safetensors q/best.safetensors
    RUN=q changed "$1"
    shift
    cp "$RUN/best.safetensors" q
    cp c.safetensors q/state.safetensors
    local before
    before=$(cd q && cat ./* | cksum)
    fails_with 3 "$CUPEL" train --resume q --epochs 4
    says "q/state.safetensors"
    says "--force"
    for text in "$@"; do says "$text"; done
    [ "$(cd q && cat ./* | cksum)" = "$before" ] || { echo "files have changed"; return 1; }
}

@test "a damaged state is refused, with what can be done, and nothing is changed" {
    state_refused '$d = substr($d, 0, -1)' "truncated"
    state_refused 'substr($d, 70000, 1) = chr(1 ^ ord substr($d, 70000, 1))' "it is damaged"
    state_refused '$h =~ s/cupel.batch":"0/cupel.batch":"7/' "batch 7"
    state_refused '$h =~ s/cupel.step":"18/cupel.step":"17/' "step 17"
    state_refused '$h =~ s/cupel.epoch":"3/cupel.epoch":"2/' "step 18"
    state_refused '$h =~ s/cupel.batch":"0/cupel.batch":"99999999999999999999/' "cupel.batch"
    state_refused '$h =~ s/cupel.best":"[^"]*/cupel.best":"x/' "cupel.best"
    state_refused '$h =~ s/metrics_bytes":"/metrics_bytes":"x/' "metrics.jsonl"
}

@test "a damaged plan, environment or recipe of a run is named" {
    local text
    for text in '' '{' '[]' '{}' 'null'; do
        rm -rf q
        cp -r "$RUN" q
        echo "$text" >q/plan.json
        fails_with 3 "$CUPEL" train --resume q --epochs 4
        says "q/plan.json"
        says "kernels are chosen anew"
    done
    rm q/plan.json
    "$CUPEL" train --resume q --epochs 4 --quiet
    cp "$RUN/state.safetensors" q
    echo '{' >q/env.json
    fails_with 3 "$CUPEL" train --resume q --epochs 4
    says "q/env.json"
    cp "$RUN/env.json" q
    echo 'trian: {}' >q/config.yaml
    fails_with 3 "$CUPEL" train --resume q --epochs 4
    says "q/config.yaml:1"
}
