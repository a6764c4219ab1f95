/* SPDX-License-Identifier: BSD-2-Clause */

#include "letter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

_Static_assert(4 * (LETTER_BOOT + LETTER_USER + LETTER_TTY + LETTER_HOST + LETTER_SERVICE + LETTER_SESSION) + 512 <=
                   LETTER_TEXT,
               "the longest letter, with names, numbers and key, fits");

/* As snprintf does, `used` goes on counting when the text is full. */
struct sheet {
	char *text;
	size_t size;
	size_t used;
};

static void put(struct sheet *sheet, char byte)
{
	if (sheet->used < sheet->size)
		sheet->text[sheet->used] = byte;
	sheet->used++;
}

static void put_text(struct sheet *sheet, const char *text)
{
	while (*text != '\0')
		put(sheet, *text++);
}

/* Only visible ASCII stands for itself, so that no value can forge a line, here or in syslog. */
static void put_escaped(struct sheet *sheet, unsigned char byte)
{
	if (byte >= '!' && byte <= '~' && byte != '\\') {
		put(sheet, (char)byte);
		return;
	}
	put(sheet, '\\');
	put(sheet, (char)('0' + (byte >> 6)));
	put(sheet, (char)('0' + (byte >> 3 & 7)));
	put(sheet, (char)('0' + (byte & 7)));
}

static void put_line(struct sheet *sheet, const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	put_text(sheet, name);
	put(sheet, ' ');
	for (; *value != '\0'; value++)
		put_escaped(sheet, (unsigned char)*value);
	put(sheet, '\n');
}

static void put_number(struct sheet *sheet, const char *name, int64_t number)
{
	char digits[sizeof "9223372036854775807"];

	if (number <= 0)
		return;
	snprintf(digits, sizeof digits, "%" PRId64, number);
	put_line(sheet, name, digits);
}

static bool continues_character(char byte)
{
	return ((unsigned char)byte & 0xC0) == 0x80;
}

void letter_set(char *value, size_t size, const char *from)
{
	size_t length = strnlen(from, size);

	if (length == size) {
		size_t cut = length = size - 1;

		/* A character has at most three bytes after its first; where there are more, this is no UTF-8. */
		while (cut > 0 && length - cut < 3 && continues_character(from[cut]))
			cut--;
		if (!continues_character(from[cut]))
			length = cut;
	}
	memcpy(value, from, length);
	value[length] = '\0';
}

size_t letter_encode(const struct letter *letter, char *text, size_t size)
{
	static const char *const kinds[] = {"opened", "closed", "failed"};
	struct sheet sheet = {.text = text, .size = size};

	put_text(&sheet, "wtmpdb 1 ");
	put_text(&sheet, kinds[letter->kind]);
	put(&sheet, '\n');
	put_line(&sheet, "key", letter->key);
	put_number(&sheet, "time", letter->time);
	put_number(&sheet, "opened", letter->opened);
	put_number(&sheet, "pid", letter->pid);
	put_number(&sheet, "start", letter->start);
	put_line(&sheet, "boot", letter->boot);
	put_line(&sheet, "user", letter->user);
	put_line(&sheet, "tty", letter->tty);
	put_line(&sheet, "host", letter->host);
	put_line(&sheet, "service", letter->service);
	put_line(&sheet, "session", letter->session);
	put_text(&sheet, "end\n");
	put(&sheet, '\0');
	return sheet.used <= size ? sheet.used - 1 : 0;
}
