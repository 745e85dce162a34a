/*
 * Plan: the recorded choice of a kernel for each (program, node, shape): what plan.json holds.
 * Choosing is part of a run: the same plan, seed, threads and processor kind give the same bytes.
 *
 *   1. cupel_plan_create(), or cupel_plan_parse() what an earlier run wrote
 *   2. pass it to every cupel_program_compile() of the run
 *   3. cupel_plan_format() and write it before the first step
 *   4. cupel_plan_destroy()
 */
#ifndef CUPEL_PLAN_H
#define CUPEL_PLAN_H

#include <cupel/program.h>

#ifdef __cplusplus
extern "C" {
#endif

CUPEL_API CUPEL_CHECKED cupel_status cupel_plan_create(cupel_plan **out, cupel_context *context,
                                                       int threads);
CUPEL_API void cupel_plan_destroy(cupel_plan *plan);
CUPEL_API const char *cupel_plan_error(const cupel_plan *plan);
/* Reads plan.json text. MISMATCH, naming the field and both values, when instruction set or kernel
 * library differ from this process's, or the threads where bits depend on them; with replan the
 * old choices are dropped instead. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_plan_parse(cupel_plan *plan, const char *json,
                                                      size_t size, bool replan);
/* Forgets choices that were read and that no program compiled since has a node for, so that the
 * text tells what runs. */
CUPEL_API void cupel_plan_drop_unused(cupel_plan *plan);
/* plan.json text (sorted keys, one choice a line); the caller frees it with
 * cupel_plan_text_free(). */
CUPEL_API CUPEL_CHECKED cupel_status cupel_plan_format(cupel_plan *plan, char **out);
CUPEL_API void cupel_plan_text_free(char *text);
/* Whether a chosen kernel's bits may change with the number of threads. */
CUPEL_API bool cupel_plan_depends_on_threads(const cupel_plan *plan);
/* Of the choices, in any order: the "plan_hash" of cupel bench and the "cupel.plan" of a run's
 * state. A program's own is cupel_program_hash(). */
CUPEL_API uint64_t cupel_plan_hash(const cupel_plan *plan);

#ifdef __cplusplus
}
#endif
#endif
