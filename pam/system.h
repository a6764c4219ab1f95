/* SPDX-License-Identifier: BSD-2-Clause */

/* What the running machine and this process know. Nothing here comes from a user. */

#ifndef WTMPDB_SYSTEM_H
#define WTMPDB_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* µs since 1970-01-01 00:00:00 UTC. */
int64_t system_now(void);

/* Different at each call in this process, in any thread. */
unsigned int system_next_number(void);

/* Fill with bytes that never come again; never waits. */
void system_random(unsigned char *bytes, size_t size);

/* Start of this process in clock ticks since the kernel's boot, or 0. */
int64_t system_process_start(void);

/* The boot key of docs/format.md, or else the kernel's boot id, or else an empty string. */
void system_boot(char *boot, size_t size);

/* Is this file of the given type (S_IFREG, S_IFDIR) root's, and may nobody else write it? If not, errno is set. */
bool belongs_to_root(int fd, mode_t type);

/* Close, if it is a descriptor, and leave errno alone: it tells why an earlier step did not work. */
void close_quietly(int fd);

#endif
