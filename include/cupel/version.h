/*
 * The version of the headers and of the library that is linked.
 */
#ifndef CUPEL_VERSION_H
#define CUPEL_VERSION_H

#include <cupel/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CUPEL_VERSION_MAJOR 0
#define CUPEL_VERSION_MINOR 1
#define CUPEL_VERSION_PATCH 0

/* "0.1.0": of the library, which may be another one than the headers'. */
CUPEL_API const char *cupel_version(void);

#ifdef __cplusplus
}
#endif
#endif
