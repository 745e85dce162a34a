/*
 * The team: threads of our own that wait for pieces of work and hand them out in less than a
 * microsecond while they are awake. Only for base/parallel.c. Test: tests/test_parallel.c
 */
#ifndef CUPEL_BASE_TEAM_H
#define CUPEL_BASE_TEAM_H

enum { TEAM_MOST = 256 }; /* pieces of one call */

typedef void (*team_body)(void *context, int piece);

/* Runs body(context, piece) once for each piece in [0, pieces), pieces <= TEAM_MOST, on this thread
 * and others, and returns when all are done. Piece p belongs to the p-th thread (0: the caller), so
 * that what it touches stays in that processor's cache; whoever has nothing left takes pieces that
 * nobody has begun. Within a body, or while another thread's call runs, the caller does all. */
void team_run(int pieces, team_body body, void *context);
/* Sleeping threads wake, for a call with so many pieces that will come soon. */
void team_wake(int pieces);
/* Threads that wait go to sleep at once: the processors are wanted by others. */
void team_rest(void);

#endif
