/*
 * Files that a command line asks to be written, and what they must not replace: what the command
 * reads, the files of a run, and what lies in a data set's folder. Test: tests/target.bats
 */
#ifndef CUPEL_CLI_TARGET_H
#define CUPEL_CLI_TARGET_H

#include <stdbool.h>
#include <stddef.h>

/* Both may be NULL: there is no such target, and everything is fine. All complain before they
 * return false, which is wrong usage, or an exit code that is not EXIT_FINE. */
struct target {
    const char *option; /* "--out" */
    const char *path;
};

/* Whether the file may be written at all. */
bool target_check(const struct target *target);
/* Whether it can be written, for all that is known before the work: EXIT_FINE, or EXIT_IO.
 * in_place: a file that is there is written over, not replaced by another of its name. */
int target_reach(const struct target *target, bool in_place);
/* Whether none of them is `input`, a file, or lies in it, a folder of images. */
bool targets_spare(const struct target *targets, size_t count, const char *input);
/* Whether a command may make a data set in the folder: it must hold no run. */
bool target_check_data_folder(const char *folder);

#endif
