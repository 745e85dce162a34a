/*
 * The library's version. Test: tests/command_line.bats
 */
#include "cupel/version.h"

#define TEXT(number) #number
#define JOIN(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *cupel_version(void) {
    return JOIN(CUPEL_VERSION_MAJOR, CUPEL_VERSION_MINOR, CUPEL_VERSION_PATCH);
}
