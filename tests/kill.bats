# Killed at any moment, a training goes on to the same bytes. Twenty kills here;
# tests/support/kill-drill takes any number.

load support/cli.bash

@test "kill -9 in every phase of a run: every end has the same bytes" {
    run "$CUPEL_SOURCE_DIR/tests/support/kill-drill" 20
    [ "$status" -eq 0 ] || { echo "$output"; return 1; }
    says "rename of state.safetensors"
    says "ends, each the same bytes"
}
