/*
 * Profiles of the training step. A node's floor is the larger of two times: its operations at the
 * machine's peak of multiply-adds, and its bytes, each operand once, at the machine's bandwidth,
 * which outer caches may have a part in. What a step larger than these can reach is told beside it.
 * Winograd's convolutions do with fewer operations than the formula counts, so their peak is the
 * multiple that a study of such kernels reached on four shapes (mean: 2.2 forward and backward
 * data, 1.8 gradients of filters). Test: tests/test_bench_profile.c
 */
#include "profile.h"

#include <stdlib.h>
#include <string.h>

#include <cupel/number.h>

#include "commands.h"
#include "console.h"

static const double winograd_forward = 2.2, winograd_weights = 1.8;
static const double reached = 0.7; /* of the floor's speed: good */

struct row {
    cupel_step_info step;
    double seconds;          /* median */
    double floor, far_floor; /* least; by the bandwidth of the step's memory, or 0 */
};

int profile_init(struct profile *profile, const cupel_trainer *trainer, size_t runs) {
    *profile = (struct profile){.program = cupel_trainer_program(trainer), .capacity = runs};
    profile->nodes = cupel_program_get_info(profile->program).steps;
    profile->memory = cupel_program_get_info(profile->program).memory_bytes;
    profile->times = calloc(runs * profile->nodes, sizeof *profile->times);
    profile->began = calloc(runs, sizeof *profile->began);
    return profile->times != NULL && profile->began != NULL
               ? EXIT_FINE
               : fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
}

void profile_release(struct profile *profile) {
    free(profile->times);
    free(profile->began);
    *profile = (struct profile){0};
}

cupel_step_time *profile_next(struct profile *profile) {
    return profile->runs < profile->capacity ? profile->times + profile->runs * profile->nodes
                                             : NULL;
}

void profile_add(struct profile *profile, double began) {
    profile->began[profile->runs++] = began;
}

/* --- rows --- */

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int by_time(const void *a, const void *b) {
    const struct row *const x = a, *const y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static double median(const struct profile *profile, size_t node, double *scratch) {
    for (size_t r = 0; r < profile->runs; r++) {
        const cupel_step_time *const time = &profile->times[r * profile->nodes + node];
        scratch[r] = time->end - time->begin;
    }
    qsort(scratch, profile->runs, sizeof *scratch, by_value);
    return profile->runs % 2 == 1
               ? scratch[profile->runs / 2]
               : 0.5 * (scratch[profile->runs / 2 - 1] + scratch[profile->runs / 2]);
}

static double floor_of(const cupel_step_info *step, const cupel_machine *machine,
                       double bytes_per_s) {
    const double factor = strstr(step->kernel, "winograd") == NULL           ? 1.0
                          : strcmp(step->op, "conv2d_backward_weights") == 0 ? winograd_weights
                                                                             : winograd_forward;
    const double arithmetic = step->flops / (factor * machine->flops_per_s);
    const double memory = (double)step->bytes / bytes_per_s;
    return arithmetic > memory ? arithmetic : memory;
}

/* The rows, longest first; NULL when memory is refused. */
static struct row *make_rows(const struct profile *profile, double *total) {
    const cupel_machine *const m = &profile->machine;
    struct row *const rows = calloc(profile->nodes + 1, sizeof *rows);
    double *const scratch = calloc(profile->runs + 1, sizeof *scratch);
    *total = 0;
    for (size_t i = 0; rows != NULL && scratch != NULL && i < profile->nodes; i++) {
        rows[i].step = cupel_program_get_step(profile->program, i);
        rows[i].seconds = median(profile, i, scratch);
        rows[i].floor = floor_of(&rows[i].step, m, m->bytes_per_s);
        if (m->far_bytes_per_s > 0)
            rows[i].far_floor = floor_of(&rows[i].step, m, m->far_bytes_per_s);
        *total += rows[i].seconds;
    }
    if (rows != NULL && scratch != NULL)
        qsort(rows, profile->nodes, sizeof *rows, by_time);
    free(scratch);
    return rows;
}

static double ratio(double a, double b) {
    return b > 0 ? a / b : 0;
}

/* The share of the time that lies in nodes near their floor. */
static double good_share(const struct profile *profile, const struct row *rows, double total,
                         bool far) {
    double good = 0;
    for (size_t i = 0; i < profile->nodes; i++) {
        const double least = far ? rows[i].far_floor : rows[i].floor;
        good += least >= reached * rows[i].seconds ? rows[i].seconds : 0;
    }
    return ratio(good, total);
}

/* --- printing --- */

static const char *fixed(char *text, double value, int decimals) {
    return cupel_number_format_fixed(text, value, decimals);
}

static void print_table(const struct profile *profile, const struct row *rows, double total) {
    const cupel_machine *const m = &profile->machine;
    char a[6][CUPEL_NUMBER_TEXT_SIZE];
    printf("\n%s, %d threads: %s GFLOP/s of multiply-adds, %s GB/s\n", m->instruction_set,
           m->threads, fixed(a[0], m->flops_per_s / 1e9, 1), fixed(a[1], m->bytes_per_s / 1e9, 1));
    printf("floor: operations at that peak (Winograd: at %s times it, gradients of filters %s "
           "times) or bytes at that bandwidth, whichever takes longer; gap: time / floor\n\n",
           fixed(a[0], winograd_forward, 1), fixed(a[1], winograd_weights, 1));
    printf("%10s %6s %9s %7s %10s %6s  %s\n", "ms", "share", "GFLOP/s", "GB/s", "floor ms", "gap",
           "node (op, kernel)");
    for (size_t i = 0; i < profile->nodes; i++) {
        const struct row *const r = &rows[i];
        printf("%10s %5s%% %9s %7s %10s %6s  %s (%s, %s)\n", fixed(a[0], 1e3 * r->seconds, 4),
               fixed(a[1], 100 * ratio(r->seconds, total), 1),
               fixed(a[2], ratio(r->step.flops, r->seconds) / 1e9, 1),
               fixed(a[3], ratio((double)r->step.bytes, r->seconds) / 1e9, 1),
               fixed(a[4], 1e3 * r->floor, 4), fixed(a[5], ratio(r->seconds, r->floor), 1),
               r->step.node, r->step.op, r->step.kernel);
    }
    printf("\n%s ms in %zu nodes; %s%% of it in nodes that reach 70%% of their floor\n",
           fixed(a[0], 1e3 * total, 3), profile->nodes,
           fixed(a[1], 100 * good_share(profile, rows, total, false), 1));
    if (m->far_bytes_per_s > 0)
        printf("%s%% where bytes count at the %s GB/s of as much memory as the step has, %s MiB\n",
               fixed(a[0], 100 * good_share(profile, rows, total, true), 1),
               fixed(a[1], m->far_bytes_per_s / 1e9, 1),
               fixed(a[2], (double)profile->memory / (1 << 20), 0));
}

static void quote(FILE *stream, const char *text) {
    fputc('"', stream);
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fputc('\\', stream);
        if (c < 0x20)
            fprintf(stream, "\\u%04x", c);
        else
            fputc(c, stream);
    }
    fputc('"', stream);
}

static void name_node(FILE *stream, const cupel_step_info *step) {
    fputs("\"node\": ", stream);
    quote(stream, step->node);
    fputs(", \"op\": ", stream);
    quote(stream, step->op);
    fputs(", \"kernel\": ", stream);
    quote(stream, step->kernel);
}

/* A member of the object that is being written. */
static void print_json(const struct profile *profile, const struct row *rows, double total) {
    const cupel_machine *const m = &profile->machine;
    char a[5][CUPEL_NUMBER_TEXT_SIZE];
    printf("\"profile\": {\"peak_gflops\": %s, \"peak_gbytes_per_s\": %s, \"threads\": %d, "
           "\"nodes_ms\": %s, \"share_at_70_percent_of_floor\": %s, ",
           fixed(a[0], m->flops_per_s / 1e9, 1), fixed(a[1], m->bytes_per_s / 1e9, 1), m->threads,
           fixed(a[2], 1e3 * total, 4), fixed(a[3], good_share(profile, rows, total, false), 4));
    if (m->far_bytes_per_s > 0)
        printf("\"far_gbytes_per_s\": %s, \"share_at_70_percent_of_far_floor\": %s, ",
               fixed(a[0], m->far_bytes_per_s / 1e9, 1),
               fixed(a[1], good_share(profile, rows, total, true), 4));
    printf("\"nodes\": [");
    for (size_t i = 0; i < profile->nodes; i++) {
        const struct row *const r = &rows[i];
        printf("%s{", i == 0 ? "" : ", ");
        name_node(stdout, &r->step);
        printf(", \"ms\": %s, \"share\": %s, \"gflops\": %s, \"gbytes_per_s\": %s, "
               "\"floor_ms\": %s}",
               fixed(a[0], 1e3 * r->seconds, 5), fixed(a[1], ratio(r->seconds, total), 5),
               fixed(a[2], ratio(r->step.flops, r->seconds) / 1e9, 2),
               fixed(a[3], ratio((double)r->step.bytes, r->seconds) / 1e9, 2),
               fixed(a[4], 1e3 * r->floor, 5));
    }
    printf("]}");
}

int profile_print(struct profile *profile, int threads, bool json) {
    double total;
    const cupel_status status = cupel_machine_measure(&profile->machine, threads, profile->memory);
    struct row *const rows = status == CUPEL_STATUS_OK ? make_rows(profile, &total) : NULL;
    if (rows == NULL)
        return fail_with(CUPEL_STATUS_OUT_OF_MEMORY, NULL);
    if (json)
        print_json(profile, rows, total);
    else
        print_table(profile, rows, total);
    free(rows);
    return EXIT_FINE;
}

/* --- the trace --- */

static void write_event(FILE *stream, const cupel_step_info *step, double begin, double end) {
    char ts[CUPEL_NUMBER_TEXT_SIZE], duration[CUPEL_NUMBER_TEXT_SIZE];
    fputs(",\n{\"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"name\": ", stream);
    quote(stream, step->node);
    fprintf(stream, ", \"cat\": ");
    quote(stream, step->op);
    fprintf(stream, ", \"ts\": %s, \"dur\": %s, \"args\": {", fixed(ts, 1e6 * begin, 3),
            fixed(duration, 1e6 * (end - begin), 3));
    name_node(stream, step);
    fprintf(stream, ", \"flop\": %s, \"bytes\": %zu, \"threads\": %d}}", fixed(ts, step->flops, 0),
            step->bytes, step->threads);
}

/* Trace Event Format: complete events on one row of nodes. */
static void write_events(FILE *stream, const struct profile *profile) {
    fputs("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n"
          "{\"ph\": \"M\", \"pid\": 1, \"name\": \"process_name\", \"args\": {\"name\": "
          "\"cupel\"}},\n"
          "{\"ph\": \"M\", \"pid\": 1, \"tid\": 1, \"name\": \"thread_name\", \"args\": "
          "{\"name\": \"nodes\"}}",
          stream);
    for (size_t r = 0; r < profile->runs; r++)
        for (size_t i = 0; i < profile->nodes; i++) {
            const cupel_step_time *const time = &profile->times[r * profile->nodes + i];
            const cupel_step_info step = cupel_program_get_step(profile->program, i);
            if (time->end > 0)
                write_event(stream, &step, profile->began[r] + time->begin,
                            profile->began[r] + time->end);
        }
    fputs("\n]}\n", stream);
}

int profile_trace(const struct profile *profile, const char *path) {
    FILE *const stream = fopen(path, "w");
    if (stream == NULL)
        return complain_errno("write", path);
    write_events(stream, profile);
    const bool fine = !ferror(stream);
    if (fclose(stream) == 0 && fine)
        return EXIT_FINE;
    return complain_errno("write", path);
}
