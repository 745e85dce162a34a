# cupel data as a user runs it, without a network and without real data.

load support/cli.bash

setup() {
    export HOME=$BATS_TEST_TMPDIR/home no_proxy='*'
    unset CUPEL_DATA XDG_CACHE_HOME
    mkdir "$HOME"
    cd "$BATS_TEST_TMPDIR"
}

@test "check tells what the sample holds" {
    run --separate-stderr "$CUPEL" data check "$SAMPLE/"
    [ "$status" -eq 0 ]
    says "train-images-idx3-ubyte.gz: 4000 images of 28 x 28"
    says "test: 1000 images of 28 x 28, 100 of T-shirt/top, 100 of Trouser"
    [ -z "$stderr" ]
}

@test "check tells all damage, and exits with 3" {
    cp -r "$SAMPLE" bad
    truncate -s 5000 bad/train-images-idx3-ubyte.gz
    printf '<!DOCTYPE html><html>Not found</html>' >bad/t10k-labels-idx1-ubyte.gz
    run --separate-stderr "$CUPEL" data check bad
    [ "$status" -eq 3 ]
    says "damaged: bad/train-images-idx3-ubyte.gz is a damaged gzip file: it is truncated"
    says "damaged: bad/t10k-labels-idx1-ubyte.gz"
    says "bad/train-labels-idx1-ubyte.gz: 4000 labels"
    [ "$stderr" = "cupel: bad: 2 things are wrong" ]
    fails_with 3 "$CUPEL" data check bad/t10k-labels-idx1-ubyte.gz
    says "is a web page and not data"
    mkdir empty
    fails_with 3 "$CUPEL" data check empty
    fails_with 4 "$CUPEL" data check nowhere
}

@test "get and synth that fail leave no folder behind" {
    mkdir empty
    fails_with 4 "$CUPEL" data get mnist --from empty --to new/folder
    [ ! -e new ]
    fails_with 4 "$CUPEL" data get mnist --from empty --to empty
    [ -d empty ]
    [ -z "$(ls -A empty)" ]
    run bash -c 'ulimit -f 8; exec "$CUPEL" data synth shapes/png --png'
    [ "$status" -eq 4 ]
    [ ! -e shapes ]
}

@test "get refuses what is not the published file, and leaves nothing under its name" {
    fails_with 3 "$CUPEL" data get fashion-mnist --from "$SAMPLE" --to here
    says "and the published file has 26421880"
    [ -z "$(ls -A here/fashion-mnist)" ]
    printf '<html>Please log in</html>' >train-images-idx3-ubyte.gz
    fails_with 3 "$CUPEL" data get mnist --from "file://$PWD" --to here
    says "is a web page and not data"
    [ -z "$(ls -A here/mnist)" ]
    fails_with 3 "$CUPEL" data get mnist --from . --to here
    says "is a web page and not data"
}

@test "get says what is wrong with places" {
    fails_with 4 "$CUPEL" data get mnist --from "$HOME" --to here
    says "holds neither mnist/train-images-idx3-ubyte.gz nor train-images-idx3-ubyte.gz"
    fails_with 4 "$CUPEL" data get mnist --from http://127.0.0.1:1/ --to here
    says "127.0.0.1"
    [ ! -e here ]
    fails_with 4 "$CUPEL" data get mnist --from "file://$PWD/nothing"
    mkdir -p "$HOME/.cache/cupel/mnist"
    : >"$HOME/.cache/cupel/mnist/train-images-idx3-ubyte.gz"
    fails_with 4 "$CUPEL" data get mnist --from "file://$PWD/nothing"
    [ -f "$HOME/.cache/cupel/mnist/train-images-idx3-ubyte.gz" ]
    fails_with 4 env -u HOME "$CUPEL" data get mnist --from .
    says "give one with --to"
    fails_with 4 "$CUPEL" data get mnist --from . --to /proc/nowhere
}

@test "usage" {
    fails_with 2 "$CUPEL" data
    fails_with 2 "$CUPEL" data get
    fails_with 2 "$CUPEL" data get emnist
    says "it is fashion-mnist or mnist"
    fails_with 2 "$CUPEL" data gte mnist
    says "cupel data get SET, check PATH or synth DIR"
    fails_with 2 "$CUPEL" data check . --to x
    says "cupel data check has no option --to"
    fails_with 2 "$CUPEL" download mnist
    says "did you mean cupel data?"
    run "$CUPEL" data --help
    says "--from DIR|URL"
}

@test "synth makes a set that can be trained on and judged, the same each time" {
    run --separate-stderr "$CUPEL" data synth shapes --images 400 --seed 5
    [ "$status" -eq 0 ]
    [ "$output" = shapes ]
    "$CUPEL" data synth again/shapes --images 400 --seed 5 --quiet
    diff -r shapes again/shapes
    "$CUPEL" data synth other --images 400 --seed 6 --quiet
    if cmp -s shapes/train-images-idx3-ubyte other/train-images-idx3-ubyte; then false; fi
    run "$CUPEL" data check shapes
    [ "$status" -eq 0 ]
    says "shapes: train: 400 images of 28 x 28, 80 of disc, 80 of square, 80 of triangle, 80 of cross, 20 of scratch"
    "$CUPEL" train "$TINY" --data again --out run --quiet --set data.set=shapes \
        --set data.normal_classes=0,1,2,3 --set data.anomaly_classes=4,5,6,7 \
        --set anomaly.classes_name=defects --set data.representative=10 --set anomaly.mixed_classes=4
    grep -q '"defects": \[[0-9]*, [0-9]*, [0-9]*, [0-9]*\]' run/split.json
    run --separate-stderr "$CUPEL" eval run
    [ "$status" -eq 0 ]
    says "split test: 50 normal images, 50 anomalies"
}

@test "synth with --png: the folders of inspection data sets" {
    "$CUPEL" data synth shapes --images 40 --side 16 --png --quiet
    [ -s shapes/train/good/000000.png ]
    [ -s shapes/test/scratch/000001.png ]
    [ -s shapes/ground_truth/scratch/000001_mask.png ]
    "$CUPEL" data check shapes
    fails_with 2 "$CUPEL" data synth shapes
    says "already"
    fails_with 2 "$CUPEL" data synth x --images 5
    fails_with 2 "$CUPEL" data synth x --side 300
    fails_with 2 "$CUPEL" data synth x --from y
    fails_with 4 "$CUPEL" data synth /proc/nowhere
}

@test "a set that is missing is named, with the command that gets it" {
    fails_with 4 "$CUPEL" train "$RECIPES/paper.yaml" --data "$RECIPES" --dry-run
    says "cupel data get fetches it"
}
