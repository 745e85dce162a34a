/* The state of a training and processes that are killed; see the header. */
#define _POSIX_C_SOURCE 200809L
#include "support/state.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/number.h"

static const char steps_key[] = "steps";

cupel_tensors *state_export(cupel_parameters *parameters) {
    cupel_tensors *tensors = NULL;
    CHECK_OK(cupel_tensors_create(&tensors));
    CHECK_OK_TEXT(cupel_parameters_export(parameters, tensors, "", false),
                  cupel_parameters_error(parameters));
    return tensors;
}

void state_import(cupel_parameters *parameters, const cupel_tensors *tensors) {
    CHECK_OK_TEXT(cupel_parameters_import(parameters, tensors, "", false),
                  cupel_parameters_error(parameters));
}

void state_check_same_bits(const cupel_tensors *a, const cupel_tensors *b) {
    CHECK_U64(cupel_tensors_count(a), cupel_tensors_count(b));
    CHECK(cupel_tensors_count(a) > 0);
    for (size_t i = 0; i < cupel_tensors_count(a); i++) {
        const cupel_tensor *const x = cupel_tensors_at(a, i);
        const cupel_tensor *const y = cupel_tensors_find(b, x->name);
        if (y == NULL || !cupel_desc_equal(&x->desc, &y->desc))
            check_failed(__FILE__, __LINE__, "%s is missing or has another shape", x->name);
        else if (memcmp(x->data, y->data, cupel_desc_bytes(&x->desc)) != 0)
            check_failed(__FILE__, __LINE__, "%s has other bits", x->name);
    }
}

void state_write(cupel_parameters *parameters, const char *path, int steps) {
    char text[16];
    snprintf(text, sizeof text, "%d", steps);
    cupel_tensors *const tensors = state_export(parameters);
    CHECK_OK(cupel_tensors_set_metadata(tensors, steps_key, text));
    CHECK_OK_TEXT(cupel_tensors_write(tensors, path), cupel_tensors_error(tensors));
    cupel_tensors_destroy(tensors);
}

int state_read(cupel_parameters *parameters, const char *path) {
    cupel_tensors *tensors = NULL;
    int64_t steps = -1;
    CHECK_OK_TEXT(cupel_tensors_read(&tensors, path), cupel_tensors_error(tensors));
    CHECK(cupel_tensors_metadata(tensors, steps_key) != NULL);
    CHECK(number_parse_i64(cupel_tensors_metadata(tensors, steps_key), &steps));
    state_import(parameters, tensors);
    cupel_tensors_destroy(tensors);
    return (int)steps;
}

void state_killed(void (*body)(void *user), void *user) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        body(user);
        _exit(2);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
