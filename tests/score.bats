# cupel score as a user runs it: the table, the same bits alone and among others, the sheet, bad input.

load support/cli.bash

setup_file() {
    export RUN=$BATS_FILE_TMPDIR/run IMAGES=$BATS_FILE_TMPDIR/images
    tiny "$RUN" || return 1
    mkdir "$IMAGES"
    # 37 images: two full batches of 16 and a smaller one.
    zcat "$SAMPLE/t10k-images-idx3-ubyte.gz" | head -c $((16 + 37 * 784)) |
        tail -c +17 >"$IMAGES/pixels"
    idx 37 "$IMAGES/pixels" "$IMAGES/all-images-idx3-ubyte"
}

idx() { # COUNT PIXELS OUT: an IDX file of 28 x 28 images
    printf '\0\0\010\003\0\0\0\'"$(printf %o "$1")"'\0\0\0\034\0\0\0\034' >"$3"
    cat "$2" >>"$3"
}

only() { # INDEX OUT: an IDX file of that image alone
    tail -c +$((1 + $1 * 784)) "$IMAGES/pixels" | head -c 784 >"$BATS_TEST_TMPDIR/one"
    idx 1 "$BATS_TEST_TMPDIR/one" "$2"
}

numbers() { cut -d, -f2- | tail -n +2; } # all but the path

@test "the table has a row for each image and the documented columns" {
    run --separate-stderr "$CUPEL" score "$RUN" "$SAMPLE/t10k-images-idx3-ubyte.gz"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "path,label,score,threshold,pred,reconstruction,kl" ]
    [ "${#lines[@]}" -eq 1001 ]
    case ${lines[1]} in "$SAMPLE/t10k-images-idx3-ubyte.gz#0,9,"*) ;; *) false ;; esac
}

@test "a folder, its IDX file, and the weights file give the same rows" {
    "$CUPEL" score "$RUN" "$SAMPLE" >"$BATS_TEST_TMPDIR/a"
    "$CUPEL" score "$RUN" "$SAMPLE/t10k-images-idx3-ubyte.gz" >"$BATS_TEST_TMPDIR/b"
    "$CUPEL" score "$RUN/best.safetensors" "$SAMPLE" --out "$BATS_TEST_TMPDIR/c"
    cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
    cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/c"
}

alone_as_among_others() {
    "$CUPEL" score "$RUN" "$IMAGES/all-images-idx3-ubyte" | numbers >"$BATS_TEST_TMPDIR/among"
    local index
    for index in 0 15 16 36; do
        only "$index" "$BATS_TEST_TMPDIR/one-images-idx3-ubyte"
        "$CUPEL" score "$RUN" "$BATS_TEST_TMPDIR/one-images-idx3-ubyte" | numbers \
            >"$BATS_TEST_TMPDIR/alone"
        [ "$(cat "$BATS_TEST_TMPDIR/alone")" = \
            "$(sed -n "$((index + 1))p" "$BATS_TEST_TMPDIR/among")" ]
    done
    # Backwards: the first is the last.
    for index in $(seq 36 -1 0); do
        tail -c +$((1 + index * 784)) "$IMAGES/pixels" | head -c 784
    done >"$BATS_TEST_TMPDIR/backwards"
    idx 37 "$BATS_TEST_TMPDIR/backwards" "$BATS_TEST_TMPDIR/back-images-idx3-ubyte"
    "$CUPEL" score "$RUN" "$BATS_TEST_TMPDIR/back-images-idx3-ubyte" | numbers | tac |
        cmp - "$BATS_TEST_TMPDIR/among"
}

@test "an image's score has the same bits alone, first, last and among others" {
    alone_as_among_others
}

@test "the same without oneDNN" {
    export CUPEL_DISABLE=onednn
    alone_as_among_others
}

@test "the same on the reference device" {
    export CUPEL_DEVICE=reference
    alone_as_among_others
}

@test "run twice, with one and two threads without oneDNN: the same bytes" {
    export CUPEL_DISABLE=onednn
    "$CUPEL" score "$RUN" "$SAMPLE" --threads 1 >"$BATS_TEST_TMPDIR/a"
    "$CUPEL" score "$RUN" "$SAMPLE" --threads 2 >"$BATS_TEST_TMPDIR/b"
    cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
}

@test "the scores of the held-out images give the stored threshold's share" {
    # The rule is the .99 quantile of 40 held-out images: some test images lie on either side.
    "$CUPEL" score "$RUN" "$SAMPLE" | numbers | cut -d, -f4 | sort | uniq -c >"$BATS_TEST_TMPDIR/n"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/n")" -eq 2 ]
}

@test "--sheet draws a PNG, --samples changes the scores" {
    "$CUPEL" score "$RUN" "$SAMPLE" --out "$BATS_TEST_TMPDIR/a.csv" --top 5 \
        --sheet "$BATS_TEST_TMPDIR/a.png"
    [ "$(head -c 4 "$BATS_TEST_TMPDIR/a.png" | tail -c 3)" = PNG ]
    "$CUPEL" score "$RUN" "$SAMPLE" --out "$BATS_TEST_TMPDIR/b.csv" --top 5 \
        --sheet "$BATS_TEST_TMPDIR/b.png" --samples 2
    run cmp -s "$BATS_TEST_TMPDIR/a.csv" "$BATS_TEST_TMPDIR/b.csv"
    [ "$status" -eq 1 ]
    run "$CUPEL" score "$RUN" "$BATS_TEST_TMPDIR/a.png"
    [ "$status" -eq 3 ] # a PNG is read; this one has another size than the network's images
    says "pixels"
}

@test "PNG files and folders of them" {
    local png=$CUPEL_SOURCE_DIR/tests/support/sneaker.png
    mkdir "$BATS_TEST_TMPDIR/photos"
    cp "$png" "$BATS_TEST_TMPDIR/photos/b, with a comma.png"
    cp "$png" "$BATS_TEST_TMPDIR/photos/a.png"
    run --separate-stderr "$CUPEL" score "$RUN" "$BATS_TEST_TMPDIR/photos" "$png"
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 4 ]
    case ${lines[1]} in "$BATS_TEST_TMPDIR/photos/a.png,,"*) ;; *) false ;; esac
    case ${lines[2]} in "\"$BATS_TEST_TMPDIR/photos/b, with a comma.png\",,"*) ;; *) false ;; esac
    [ "${lines[1]#*.png,}" = "${lines[3]#*.png,}" ]
}

@test "folders in a folder: their names are labels, in the order of names" {
    cd "$BATS_TEST_TMPDIR"
    "$CUPEL" data synth syn --png --quiet --images 40
    "$CUPEL" score "$RUN" syn/test >a
    [ "$(wc -l <a)" -eq 11 ]
    tail -n +2 a | cut -d, -f1 | LC_ALL=C sort -c
    tail -n +2 a | while IFS=, read -r path label rest; do
        [ "$path" = "syn/test/$label/${path##*/}" ] || { echo "$path $label"; exit 1; }
    done
    cut -d, -f2 a | grep -qx good
    "$CUPEL" score "$RUN" syn/test/ | cmp - a
    # the same images without the folders: no labels, the same numbers
    "$CUPEL" score "$RUN" syn/test/good | cut -d, -f3- >good
    grep ,good, a | cut -d, -f3- | cmp - <(tail -n +2 good)
    [ -z "$("$CUPEL" score "$RUN" syn/test/good | cut -d, -f2 | tail -n +2 | tr -d '\n')" ]
    # masks are no images
    mkdir all
    mv syn/test syn/ground_truth all
    "$CUPEL" score "$RUN" all | cut -d, -f2- | cmp - <(cut -d, -f2- a)
    ln -s .. all/test/back
    fails_with 3 "$CUPEL" score "$RUN" all
    says "all/test/back leads back to all"
}

@test "images of other kinds beside PNG files are left out, with a word" {
    cd "$BATS_TEST_TMPDIR"
    mkdir -p photos/deep
    cp "$CUPEL_SOURCE_DIR/tests/support/sneaker.png" photos/b.png
    touch photos/a.jpg photos/deep/c.JPEG photos/notes.txt
    run --separate-stderr "$CUPEL" score "$RUN" photos --quiet
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 2 ]
    [[ "$stderr" == "cupel: photos: 2 image files are left out, such as a.jpg: only the PNG"* ]]
}

@test "a PNG is known by its ending, whatever its case and folder" {
    cd "$BATS_TEST_TMPDIR"
    cp "$CUPEL_SOURCE_DIR/tests/support/sneaker.png" X.PNG
    run --separate-stderr "$CUPEL" score "$RUN" ./X.PNG
    [ "$status" -eq 0 ]
    case ${lines[1]} in "./X.PNG,,"*) ;; *) false ;; esac
}

@test "every name of an IDX file that train knows" {
    "$CUPEL" score "$RUN" "$SAMPLE" | numbers >"$BATS_TEST_TMPDIR/want"
    local stem form
    for stem in t10k test; do
        for form in -idx .idx; do
            local folder=$BATS_TEST_TMPDIR/$stem$form
            mkdir "$folder"
            cp "$SAMPLE/t10k-images-idx3-ubyte.gz" "$folder/$stem-images${form}3-ubyte.gz"
            zcat "$SAMPLE/t10k-labels-idx1-ubyte.gz" >"$folder/$stem-labels${form}1-ubyte"
            "$CUPEL" score "$RUN" "$folder" | numbers | cmp - "$BATS_TEST_TMPDIR/want"
            "$CUPEL" score "$RUN" "$folder/$stem-images${form}3-ubyte.gz" | numbers |
                cmp - "$BATS_TEST_TMPDIR/want"
        done
    done
}

@test "--out through a link, into a pipe, a device, and stdout itself" {
    cd "$BATS_TEST_TMPDIR"
    "$CUPEL" score "$RUN" "$IMAGES/all-images-idx3-ubyte" >want
    echo old >target
    ln -s target link
    mkfifo pipe
    cat pipe >piped &
    local reader=$!
    "$CUPEL" score "$RUN" "$IMAGES/all-images-idx3-ubyte" --out pipe
    wait "$reader"
    cmp piped want
    [ -p pipe ]
    "$CUPEL" score "$RUN" "$IMAGES/all-images-idx3-ubyte" --out link
    [ -L link ]
    cmp target want
    "$CUPEL" score "$RUN" "$IMAGES/all-images-idx3-ubyte" --out /dev/null
    [ -c /dev/null ]
    echo kept >both
    "$CUPEL" score "$RUN" "$IMAGES/all-images-idx3-ubyte" --out /dev/stdout >>both
    [ "$(head -n 1 both)" = kept ]
    tail -n +2 both | cmp - want
    fails_with 2 "$CUPEL" score "$RUN" "$IMAGES/all-images-idx3-ubyte" --out a --sheet a
    fails_with 2 "$CUPEL" score "$RUN" "$IMAGES/all-images-idx3-ubyte" --out target --sheet link
    cmp target want
}

@test "a signal leaves no temporary file" {
    mkdir "$BATS_TEST_TMPDIR/out"
    "$CUPEL" score "$RUN" "$SAMPLE" --samples 1000 --out "$BATS_TEST_TMPDIR/out/scores.csv" &
    local scoring=$!
    sleep 0.5
    kill -TERM "$scoring"
    run wait "$scoring"
    [ -z "$(ls -A "$BATS_TEST_TMPDIR/out")" ]
}

@test "images of another size: the file, its size, and the network's" {
    printf 'x' >"$BATS_TEST_TMPDIR/pixel"
    printf '\0\0\010\003\0\0\0\001\0\0\0\001\0\0\0\001' |
        cat - "$BATS_TEST_TMPDIR/pixel" >"$BATS_TEST_TMPDIR/small-images-idx3-ubyte"
    fails_with 3 "$CUPEL" score "$RUN" "$BATS_TEST_TMPDIR/small-images-idx3-ubyte"
    says "small-images-idx3-ubyte#0 is 1 x 1 pixels"
    says "28 x 28"
}

@test "a German locale changes no byte" {
    "$CUPEL" score "$RUN" "$SAMPLE" >"$BATS_TEST_TMPDIR/a"
    in_german "$CUPEL" score "$RUN" "$SAMPLE" >"$BATS_TEST_TMPDIR/b"
    cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
}

@test "score | head dies quietly" {
    run bash -c "'$CUPEL' score '$RUN' '$SAMPLE' 2>&1 | head -n 1"
    [ "$status" -eq 0 ]
    [ "$output" = "path,label,score,threshold,pred,reconstruction,kl" ]
}

@test "a score that is not finite is no score, and nobody is called normal" {
    overflowing "$RUN/best.safetensors" "$BATS_TEST_TMPDIR/wild.safetensors"
    run --separate-stderr "$CUPEL" score "$BATS_TEST_TMPDIR/wild.safetensors" \
        "$IMAGES/all-images-idx3-ubyte"
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 38 ]
    [[ ${lines[1]} =~ ^[^,]*#0,,,[^,]*,,[^,]*,[^,]*$ ]]
    case $output in *nan* | *inf*) false ;; esac
    case $stderr in *"all-images-idx3-ubyte#0 has no finite score"*) ;; *) false ;; esac
    case $stderr in *"37 images have no finite score"*) ;; *) false ;; esac
}

@test "weights that hold NaN are refused" {
    overflowing "$RUN/best.safetensors" "$BATS_TEST_TMPDIR/nan.safetensors" 0000c07f
    fails_with 6 "$CUPEL" score "$BATS_TEST_TMPDIR/nan.safetensors" "$SAMPLE"
    says "nan.safetensors"
    says "encoder."
    fails_with 6 "$CUPEL" eval "$BATS_TEST_TMPDIR/nan.safetensors" --data "$RECIPES"
}

@test "bad input: exit codes and messages" {
    fails_with 2 "$CUPEL" score "$RUN"
    fails_with 4 "$CUPEL" score "$BATS_TEST_TMPDIR/none" "$SAMPLE"
    run --separate-stderr "$CUPEL" score "$RUN" "$BATS_TEST_TMPDIR/none"
    [ "$status" -eq 4 ]
    [ -z "$output" ]
    fails_with 2 "$CUPEL" score "$RUN" "$SAMPLE" --top 0
    fails_with 2 "$CUPEL" score "$RUN" "$SAMPLE" --weights newest
    fails_with 3 "$CUPEL" score "$RUN" "$SAMPLE/README.md"
    head -c 5000 "$RUN/best.safetensors" >"$BATS_TEST_TMPDIR/cut.safetensors"
    fails_with 3 "$CUPEL" score "$BATS_TEST_TMPDIR/cut.safetensors" "$SAMPLE"
    head -c 10000 "$IMAGES/all-images-idx3-ubyte" >"$BATS_TEST_TMPDIR/cut-images-idx3-ubyte"
    fails_with 3 "$CUPEL" score "$RUN" "$BATS_TEST_TMPDIR/cut-images-idx3-ubyte"
    says "cut-images-idx3-ubyte"
    fails_with 4 "$CUPEL" score "$RUN" "$SAMPLE" --out "$BATS_TEST_TMPDIR/no/scores.csv"
    run --separate-stderr "$CUPEL" score "$RUN" "$SAMPLE" --sheet "$BATS_TEST_TMPDIR/no/sheet.png"
    [ "$status" -eq 4 ]
    [ -z "$output" ] # before the scores
    mkdir "$BATS_TEST_TMPDIR/empty"
    fails_with 3 "$CUPEL" score "$RUN" "$BATS_TEST_TMPDIR/empty"
}

@test "labels that do not fit their images: exit code 3" {
    cp "$SAMPLE"/t10k-images* "$BATS_TEST_TMPDIR"
    cp "$SAMPLE/train-labels-idx1-ubyte.gz" "$BATS_TEST_TMPDIR/t10k-labels-idx1-ubyte.gz"
    fails_with 3 "$CUPEL" score "$RUN" "$BATS_TEST_TMPDIR"
}

@test "--files0-from takes any number of paths, also from a pipe, in their order" {
    local png=$CUPEL_SOURCE_DIR/tests/support/sneaker.png photos=$BATS_TEST_TMPDIR/photos index
    mkdir "$photos"
    for index in $(seq 1 300); do # more than one part
        ln -s "$png" "$photos/$index
odd name.png"
    done
    { find "$photos" -name '*.png' -print0; printf '%s\0' "$IMAGES/all-images-idx3-ubyte" "$png"; } \
        >"$BATS_TEST_TMPDIR/list"
    "$CUPEL" score "$RUN" --files0-from "$BATS_TEST_TMPDIR/list" >"$BATS_TEST_TMPDIR/a"
    "$CUPEL" score "$RUN" --files0-from - <"$BATS_TEST_TMPDIR/list" >"$BATS_TEST_TMPDIR/b"
    xargs -0 "$CUPEL" score "$RUN" <"$BATS_TEST_TMPDIR/list" >"$BATS_TEST_TMPDIR/c"
    cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
    cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/c"
    [ "$(grep -c 'odd name.png"*,,' "$BATS_TEST_TMPDIR/a")" -eq 300 ]
    # the last rows: the 37 images, and the lone one with the score that it had among others
    tail -n 38 "$BATS_TEST_TMPDIR/a" | head -n 37 | numbers >"$BATS_TEST_TMPDIR/idx"
    "$CUPEL" score "$RUN" "$IMAGES/all-images-idx3-ubyte" | numbers | tail -n 36 |
        cmp - "$BATS_TEST_TMPDIR/idx"
    [ "$(tail -n 1 "$BATS_TEST_TMPDIR/a" | cut -d, -f2-)" = \
        "$(grep 'odd name.png' "$BATS_TEST_TMPDIR/a" | head -n 1 | cut -d, -f2-)" ]
}

@test "--files0-from: bad lists and bad company" {
    : >"$BATS_TEST_TMPDIR/empty"
    fails_with 3 "$CUPEL" score "$RUN" --files0-from "$BATS_TEST_TMPDIR/empty"
    says "names no image"
    printf 'a\0\0' >"$BATS_TEST_TMPDIR/hole"
    cp "$CUPEL_SOURCE_DIR/tests/support/sneaker.png" "$BATS_TEST_TMPDIR/a"
    cd "$BATS_TEST_TMPDIR"
    fails_with 3 "$CUPEL" score "$RUN" --files0-from hole
    printf 'a.png\0\0' >hole
    mv a a.png
    fails_with 3 "$CUPEL" score "$RUN" --files0-from hole
    says "path 2 is empty"
    printf 'none.png\n' >lines # no NUL: one path that is not there
    fails_with 4 "$CUPEL" score "$RUN" --files0-from lines
    fails_with 4 "$CUPEL" score "$RUN" --files0-from none
    says "cannot read none"
    fails_with 2 "$CUPEL" score "$RUN" a.png --files0-from hole
    says "leave out a.png"
    fails_with 2 "$CUPEL" score --files0-from hole
}

@test "--fail-if 'anomalies>N' exits with 7 and still gives the table" {
    local found
    found=$("$CUPEL" score "$RUN" "$SAMPLE" | numbers | cut -d, -f4 | grep -c 1)
    [ "$found" -gt 1 ]
    "$CUPEL" score "$RUN" "$SAMPLE" --fail-if "anomalies>$found" >"$BATS_TEST_TMPDIR/a"
    run --separate-stderr "$CUPEL" score "$RUN" "$SAMPLE" --fail-if "anomalies>$((found - 1))"
    [ "$status" -eq 7 ]
    [ "$output" = "$(cat "$BATS_TEST_TMPDIR/a")" ]
    case $stderr in *"gate: $found of 1000 images are anomalous"*) ;; *) false ;; esac
    fails_with 7 "$CUPEL" score "$RUN" "$SAMPLE" --fail-if 'anomalies>0' \
        --out "$BATS_TEST_TMPDIR/b"
    cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
    local rule
    for rule in 'anomalies>' 'anomalies>-1' 'anomalies>x' 'anomalies<3' 'normal>3' ''; do
        fails_with 2 "$CUPEL" score "$RUN" "$SAMPLE" --fail-if "$rule"
        says "anomalies>N"
    done
}

@test "--fail-if: what cannot be judged counts, and without a threshold nothing can" {
    overflowing "$RUN/best.safetensors" "$BATS_TEST_TMPDIR/wild.safetensors"
    fails_with 7 "$CUPEL" score "$BATS_TEST_TMPDIR/wild.safetensors" \
        "$IMAGES/all-images-idx3-ubyte" --fail-if 'anomalies>36'
    says "37 of 37"
    tiny "$BATS_TEST_TMPDIR/run" --epochs 1 --set data.held_out=0
    fails_with 3 "$CUPEL" score "$BATS_TEST_TMPDIR/run" "$SAMPLE" --fail-if 'anomalies>0'
    says "has none"
}

@test "a failed table leaves nothing behind" {
    fails_with 4 "$CUPEL" score "$RUN" "$SAMPLE" "$BATS_TEST_TMPDIR/none" \
        --out "$BATS_TEST_TMPDIR/scores.csv"
    [ -z "$(ls -A "$BATS_TEST_TMPDIR")" ]
}

@test "a plan that is asked for is followed or refused; a run's own that does not fit is told" {
    local field images=$IMAGES/all-images-idx3-ubyte
    cd "$BATS_TEST_TMPDIR"
    "$CUPEL" score "$RUN" "$images" --plan-file "$RUN/plan.json" | cmp - <("$CUPEL" score "$RUN" "$images")
    cp -r "$RUN" run
    for field in device instruction_set kernel_library; do
        sed "s/\"$field\": \"[^\"]*\"/\"$field\": \"another\"/" "$RUN/plan.json" >foreign.json
        fails_with 5 "$CUPEL" score "$RUN" "$images" --plan-file foreign.json
        says "foreign.json: $field: the plan was made with \"another\""
        cp foreign.json run/plan.json
        run --separate-stderr "$CUPEL" score run "$images" --quiet
        [ "$status" -eq 0 ]
        [ "$output" = "$("$CUPEL" score "$RUN" "$images" | sed "s#$RUN#run#")" ]
        case $stderr in *"warning: run/plan.json does not fit here"*"$field"*) ;; *) false ;; esac
    done
    fails_with 4 "$CUPEL" score "$RUN" "$images" --plan-file none.json
    echo '{' >foreign.json
    fails_with 3 "$CUPEL" score "$RUN" "$images" --plan-file foreign.json
}

@test "a run whose plan another version wrote is scored; resuming it asks for --replan" {
    cp -r "$RUN" "$BATS_TEST_TMPDIR/older"
    sed -i 's/cupel-plan-[0-9]*/cupel-plan-1/; s/"layout": "[a-zA-Z0-9]*", //' "$BATS_TEST_TMPDIR/older/plan.json"
    run --separate-stderr "$CUPEL" score "$BATS_TEST_TMPDIR/older" "$SAMPLE/t10k-images-idx3-ubyte.gz"
    [ "$status" -eq 0 ]
    [ "$(wc -l <<<"$output")" -eq 1001 ]
    fails_with 5 "$CUPEL" train --resume "$BATS_TEST_TMPDIR/older" --epochs 30
    says "format: the plan is a \"cupel-plan-1\""
    says "with --replan"
}
