# What a named file must not replace: images and lists that are read, weights, the files of a run,
# and what lies in a data set's folder. Each refusal comes before any work and changes nothing.

load support/cli.bash

setup_file() {
    export RUN=$BATS_FILE_TMPDIR/run
    tiny "$RUN" || return 1
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    cp "$CUPEL_SOURCE_DIR/tests/support/sneaker.png" a.png
}

# A command of exit code 2 that says TEXT and leaves every byte where it was.
spared() { # TEXT COMMAND...
    local text=$1 before
    shift
    before=$(cd "$BATS_FILE_TMPDIR" && find . ! -type d -print0 | sort -z | xargs -0 cksum | cksum)
    fails_with 2 "$@"
    says "$text"
    [ "$(cd "$BATS_FILE_TMPDIR" && find . ! -type d -print0 | sort -z | xargs -0 cksum | cksum)" = \
        "$before" ] || { echo "files have changed"; return 1; }
    cmp a.png "$CUPEL_SOURCE_DIR/tests/support/sneaker.png"
}

@test "an image that is scored, by its name, another path, and links" {
    ln -s a.png soft.png
    ln a.png hard.png
    mkdir sub
    local name option
    for option in --out --sheet; do
        for name in a.png ./a.png sub/../a.png "$PWD/a.png" soft.png hard.png; do
            spared "$option $name is a.png, which is read" "$CUPEL" score "$RUN" a.png "$option" "$name"
        done
    done
    cp a.png b.png
    spared "is b.png, which is read" "$CUPEL" score "$RUN" a.png b.png --out b.png
    "$CUPEL" score "$RUN" a.png --out b.png # not among what is read
}

@test "images of a list, and the list" {
    printf 'a.png\0' >list
    spared "--out a.png is a.png" "$CUPEL" score "$RUN" --files0-from list --out a.png
    spared "--sheet a.png is a.png" "$CUPEL" score "$RUN" --files0-from - --sheet a.png <list
    spared "--out list is list" "$CUPEL" score "$RUN" --files0-from list --out list
    [ "$(tr '\0' ' ' <list)" = "a.png " ]
}

@test "the weights and the plan, wherever they lie" {
    cp "$RUN/best.safetensors" w.safetensors
    cp "$RUN/plan.json" p.json
    ln -s w.safetensors link
    spared "--out w.safetensors is w.safetensors" "$CUPEL" score w.safetensors a.png --out w.safetensors
    spared "--sheet link is w.safetensors" "$CUPEL" score w.safetensors a.png --sheet link
    spared "--out p.json is p.json" "$CUPEL" score "$RUN" a.png --plan-file p.json --out p.json
    cmp w.safetensors "$RUN/best.safetensors"
    cmp p.json "$RUN/plan.json"
}

@test "the files of a run, this one or another" {
    cp -r "$RUN" other
    ln -s other/metrics.jsonl link
    ln -s other folder
    local name
    for name in config.yaml plan.json split.json env.json metrics.jsonl state.safetensors \
        best.safetensors last.safetensors log.txt; do
        spared "is a file of a run" "$CUPEL" score "$RUN" a.png --out "$RUN/$name"
        spared "is a file of a run" "$CUPEL" score "$RUN" a.png --sheet "other/$name"
        cmp "other/$name" "$RUN/$name"
    done
    rm other/state.safetensors # one that will come
    spared "is a file of a run" "$CUPEL" score "$RUN" a.png --out other/state.safetensors
    spared "is a file of a run" "$CUPEL" score "$RUN" a.png --out folder/best.safetensors
    spared "--out link is a file of a run" "$CUPEL" score "$RUN" a.png --out link
    spared "--trace other/plan.json is a file of a run" "$CUPEL" bench step mlp-vae --steps 1 \
        --trace other/plan.json
    spared "other holds a run" "$CUPEL" data synth other
    spared "other holds a run" "$CUPEL" data get mnist --to other
    "$CUPEL" score other a.png --out other/scores.csv # its place
    "$CUPEL" score "$RUN" a.png --out log.txt         # a log of anybody
}

@test "what lies in a data set's folder, or in a folder of images that is scored" {
    mkdir -p d/deep photos/deep loose
    cp "$SAMPLE"/t10k* d
    spared "lies in the data set's folder" "$CUPEL" score "$RUN" a.png --out d/scores.csv
    spared "lies in the data set's folder" "$CUPEL" bench step mlp-vae --steps 1 --trace d/trace.json
    spared "lies in d, whose images are read" "$CUPEL" score "$RUN" d --out d/deep/scores.csv
    cp a.png photos
    spared "lies in photos, whose images are read" "$CUPEL" score "$RUN" photos --sheet photos/s.png
    (cd photos && fails_with 2 "$CUPEL" score "$RUN" . --out s.csv && says "choose a place outside")
    spared "lies in photos, whose images are read" "$CUPEL" score "$RUN" photos --out photos/deep/s.csv
    zcat d/t10k-images-idx3-ubyte.gz >loose/odd-images-idx3-ubyte
    zcat d/t10k-labels-idx1-ubyte.gz >loose/odd-labels-idx1-ubyte
    spared "belongs to loose/odd-images-idx3-ubyte" "$CUPEL" score "$RUN" \
        loose/odd-images-idx3-ubyte --out loose/odd-labels-idx1-ubyte
    "$CUPEL" score "$RUN" loose/odd-images-idx3-ubyte --out loose/scores.csv
    [ "$(find d photos | wc -l)" -eq 7 ]
}
