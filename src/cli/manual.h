/*
 * The manual page and the completion of shells, printed from the tables of options, commands and
 * recipe keys, so that they cannot go stale. `make install` puts them in place.
 * Test: tests/manual.bats
 */
#ifndef CUPEL_CLI_MANUAL_H
#define CUPEL_CLI_MANUAL_H

#include <stdio.h>

void print_manual(FILE *stream); /* roff, man(7) */
/* shell: "bash", "fish" or "zsh" (completion.c). Returns an exit code. */
int print_completion(FILE *stream, const char *shell);

#endif
