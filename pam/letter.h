/* SPDX-License-Identifier: BSD-2-Clause */

/* A letter: what a login, a logout or a failed login tells the recorder (docs/format.md). No I/O, no PAM. */

#ifndef WTMPDB_LETTER_H
#define WTMPDB_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest values, in bytes, each with its terminating NUL. */
enum {
	LETTER_KEY = 32 + 1,
	LETTER_BOOT = 127 + 1,
	LETTER_USER = 256 + 1,
	LETTER_TTY = 64 + 1,
	LETTER_HOST = 255 + 1,
	LETTER_SERVICE = 64 + 1,
	LETTER_SESSION = 32 + 1,
	/* Enough for every letter: at worst each byte of a value becomes four. */
	LETTER_TEXT = 4096,
};

enum letter_kind { LETTER_OPENED, LETTER_CLOSED, LETTER_FAILED };

/* An empty string or a zero means "not known": its line is left out. */
struct letter {
	enum letter_kind kind;
	int64_t time;   /* µs since 1970-01-01 00:00:00 UTC, as is `opened` */
	int64_t opened; /* only in a close: when its session was opened */
	int64_t pid;
	int64_t start; /* of the process, in clock ticks since the kernel's boot */
	char key[LETTER_KEY];
	char boot[LETTER_BOOT];
	char user[LETTER_USER];
	char tty[LETTER_TTY];
	char host[LETTER_HOST];
	char service[LETTER_SERVICE];
	char session[LETTER_SESSION];
};

/* Copy what fits into `size` bytes, NUL included, and cut before a UTF-8 character rather than through it. */
void letter_set(char *value, size_t size, const char *from);

/* Write the letter's text and a NUL. Returns its length, or 0 if it does not fit (never with LETTER_TEXT bytes). */
size_t letter_encode(const struct letter *letter, char *text, size_t size);

#endif
