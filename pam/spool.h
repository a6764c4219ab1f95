/* SPDX-License-Identifier: BSD-2-Clause */

/* The spool: a maildir of letters. Written here, read by the recorder. */

#ifndef WTMPDB_SPOOL_H
#define WTMPDB_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Post a letter under a name of its own. False, and errno says why, unless it is sure to stay. */
bool spool_post(const char *spool, int64_t time, const char *text, size_t size);

/* Tell the recorder, without waiting, that there is something in the spool. */
bool spool_poke(const char *socket_path);

#endif
