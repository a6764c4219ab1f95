/* SPDX-License-Identifier: BSD-2-Clause */

#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t nanoseconds(clockid_t clock)
{
	struct timespec now = {0};

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

int64_t system_now(void)
{
	return (int64_t)(nanoseconds(CLOCK_REALTIME) / 1000);
}

unsigned int system_next_number(void)
{
	static atomic_uint counter;

	return atomic_fetch_add(&counter, 1);
}

void system_random(unsigned char *bytes, size_t size)
{
	if (getrandom(bytes, size, GRND_NONBLOCK) == (ssize_t)size)
		return;

	/*
	 * Early in boot, or under a seccomp filter. A key has to be unlike every other but need not be secret: only root
	 * can post a letter. So clocks, process and counter, spread by splitmix64, will do; a login must not wait.
	 */
	uint64_t state = nanoseconds(CLOCK_REALTIME) ^ nanoseconds(CLOCK_MONOTONIC) << 20 ^ (uint64_t)getpid() << 40;

	for (state += system_next_number(); size > 0; size--) {
		uint64_t mixed = state += 0x9E3779B97F4A7C15U;

		mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9U;
		mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBU;
		*bytes++ = (unsigned char)((mixed ^ mixed >> 31) >> 56);
	}
}

void close_quietly(int fd)
{
	int why = errno;

	if (fd >= 0)
		close(fd);
	errno = why;
}

bool belongs_to_root(int fd, mode_t type)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return false;
	if ((status.st_mode & S_IFMT) == type && status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return true;
	errno = EPERM;
	return false;
}

/* Read the start of a small file as a string; an empty one if there is no such file. */
static void read_start(const char *path, bool from_root, char *text, size_t size)
{
	ssize_t length = 0;
	/* O_NONBLOCK: a FIFO in its place must not hold up the login. */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0) {
		if (!from_root || belongs_to_root(fd, S_IFREG))
			length = read(fd, text, size - 1);
		close(fd);
	}
	text[length > 0 ? length : 0] = '\0';
}

static bool read_boot(const char *path, bool from_root, char *boot, size_t size)
{
	char line[256];

	read_start(path, from_root, line, sizeof line);

	size_t length = strspn(line, "0123456789abcdef/-");
	bool valid = length > 0 && length < size && (line[length] == '\n' || line[length] == '\0');

	memcpy(boot, line, valid ? length : 0);
	boot[valid ? length : 0] = '\0';
	return valid;
}

void system_boot(char *boot, size_t size)
{
	if (!read_boot("/run/wtmpdb/boot", true, boot, size))
		read_boot("/proc/sys/kernel/random/boot_id", false, boot, size);
}

/* Process id and start name a process for good: the id alone is used again. The start is field 22 of the line. */
int64_t system_process_start(void)
{
	char text[1024];

	read_start("/proc/self/stat", false, text, sizeof text);

	/* Field 2 is the program's name in parentheses; it may itself hold spaces and parentheses. */
	const char *field = strrchr(text, ')');

	for (int number = 2; number < 22 && field != NULL; number++)
		field = strchr(field + 1, ' ');
	return field != NULL ? strtoll(field, NULL, 10) : 0;
}

