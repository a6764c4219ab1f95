/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The PAM module of wtmpdb. It runs as root inside sshd, login, su and sudo, so it does as little as it can: each open
 * and each close of a session, and each failed login, becomes one letter in a spool, and the recorder is told to look.
 *
 * - It never refuses or delays a login: whatever happens, a session gets PAM_SUCCESS. What cannot be written goes to
 *   syslog. In the auth part, where success would let somebody in, PAM always gets PAM_IGNORE.
 * - It believes nobody: it reads PAM items and its own /proc entry; of the PAM environment, which a user may have
 *   filled, only two values whose form is checked. All values are bounded, and escaped when written.
 * - It changes nothing in the process: no signal disposition, umask or working directory; it leaves no descriptor
 *   open and keeps no state but the session's facts, which PAM holds, and a counter.
 *
 * Options: debug silent skip_if=SERVICE,SERVICE spool=DIR poke=SOCKET
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>

#include "letter.h"
#include "spool.h"
#include "system.h"

#define SESSION_DATA "wtmpdb_session"
#define EXPORT __attribute__((visibility("default")))

/* --- Options --------------------------------------------------------------------------------------------------- */

struct options {
	bool debug;
	bool silent;
	const char *skip_if;
	const char *spool;
	const char *poke;
};

static const char *value_of(const char *option, const char *name)
{
	size_t length = strlen(name);

	return strncmp(option, name, length) == 0 && option[length] == '=' ? option + length + 1 : NULL;
}

/* A relative path would lie wherever the application happens to stand, so it is no valid value. */
static bool set_path(const char **path, const char *option, const char *name)
{
	const char *value = value_of(option, name);

	if (value == NULL || value[0] != '/')
		return false;
	*path = value;
	return true;
}

static struct options read_options(const pam_handle_t *pamh, bool closing, int argc, const char **argv)
{
	struct options options = {.skip_if = "", .spool = "/var/lib/wtmpdb/spool", .poke = "/run/wtmpdb/poke"};

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "debug") == 0)
			options.debug = true;
		else if (strcmp(argv[i], "silent") == 0)
			options.silent = true;
		else if (value_of(argv[i], "skip_if") != NULL)
			options.skip_if = value_of(argv[i], "skip_if");
		else if (!set_path(&options.spool, argv[i], "spool") && !set_path(&options.poke, argv[i], "poke") && !closing)
			pam_syslog(pamh, LOG_ERR, "option not understood, passed over: %s", argv[i]);
	}
	return options;
}

static bool is_in_list(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (; *list != '\0'; list += strspn(list, ",")) {
		size_t item = strcspn(list, ",");

		if (item == length && memcmp(list, word, length) == 0)
			return true;
		list += item;
	}
	return false;
}

/* --- The facts of a session ------------------------------------------------------------------------------------ */

static void make_key(char key[LETTER_KEY])
{
	unsigned char bytes[(LETTER_KEY - 1) / 2];

	system_random(bytes, sizeof bytes);
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(key + 2 * i, 3, "%02x", bytes[i]);
}

static const char *item(const pam_handle_t *pamh, int type)
{
	const void *value = NULL;

	return pam_get_item(pamh, type, &value) == PAM_SUCCESS && value != NULL ? value : "";
}

/* Graphical logins have a display or nothing as their tty; pam_systemd knows the virtual terminal. */
static void set_tty(pam_handle_t *pamh, char tty[LETTER_TTY])
{
	const char *name = item(pamh, PAM_TTY);
	const char *vt = name[0] == '\0' || strchr(name, ':') != NULL ? pam_getenv(pamh, "XDG_VTNR") : NULL;

	if (vt != NULL) {
		size_t digits = strspn(vt, "0123456789");
		long number = digits >= 1 && digits <= 3 && vt[digits] == '\0' ? strtol(vt, NULL, 10) : 0;

		if (number >= 1 && number <= 63) {
			snprintf(tty, LETTER_TTY, "tty%ld", number);
			return;
		}
	}
	letter_set(tty, LETTER_TTY, strncmp(name, "/dev/", 5) == 0 ? name + 5 : name);
}

static void set_session(pam_handle_t *pamh, char session[LETTER_SESSION])
{
	static const char allowed[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	const char *id = pam_getenv(pamh, "XDG_SESSION_ID");

	if (id != NULL && strlen(id) < LETTER_SESSION && id[strspn(id, allowed)] == '\0')
		letter_set(session, LETTER_SESSION, id);
}

/* What is known of whoever asks to be let in. */
static void gather_request(pam_handle_t *pamh, struct letter *letter)
{
	const char *host = item(pamh, PAM_RHOST);

	letter->pid = getpid();
	letter_set(letter->user, sizeof letter->user, item(pamh, PAM_USER));
	set_tty(pamh, letter->tty);
	letter_set(letter->host, sizeof letter->host, host[0] != '\0' ? host : item(pamh, PAM_XDISPLAY));
	letter_set(letter->service, sizeof letter->service, item(pamh, PAM_SERVICE));
}

static void gather(pam_handle_t *pamh, struct letter *letter)
{
	gather_request(pamh, letter);
	letter->start = system_process_start();
	system_boot(letter->boot, sizeof letter->boot);
	set_session(pamh, letter->session);
}

/* --- Opening and closing --------------------------------------------------------------------------------------- */

static void forget(pam_handle_t *pamh, void *data, int status)
{
	(void)pamh;
	(void)status;
	free(data);
}

/* PAM keeps the letter until the handle ends. Without it, a close says less, and the recorder looks for its open. */
static void remember(pam_handle_t *pamh, const struct letter *letter)
{
	struct letter *copy = malloc(sizeof *copy);

	if (copy == NULL)
		return;
	*copy = *letter;
	if (pam_set_data(pamh, SESSION_DATA, copy, forget) != PAM_SUCCESS)
		free(copy);
}

static const struct letter *recall(const pam_handle_t *pamh)
{
	const void *letter = NULL;

	return pam_get_data(pamh, SESSION_DATA, &letter) == PAM_SUCCESS ? letter : NULL;
}

/* A stack may name the module twice, by an include: a session is opened once and closed once all the same. */
static bool compose_opened(pam_handle_t *pamh, struct letter *letter)
{
	const struct letter *last = recall(pamh);

	gather(pamh, letter);
	letter->time = system_now();
	make_key(letter->key);
	return last == NULL || last->kind == LETTER_CLOSED || strcmp(last->user, letter->user) != 0;
}

/* The close repeats the facts of the open, so that it makes a whole entry even where the open's letter was lost. */
static bool compose_closed(pam_handle_t *pamh, struct letter *letter)
{
	const struct letter *last = recall(pamh);

	if (last == NULL) {
		gather(pamh, letter);
	} else if (last->kind == LETTER_CLOSED) {
		return false;
	} else {
		*letter = *last;
		letter->opened = last->time;
	}
	letter->kind = LETTER_CLOSED;
	letter->time = system_now();
	return true;
}

static void deliver(pam_handle_t *pamh, const struct options *options, const struct letter *letter)
{
	char text[LETTER_TEXT];
	char why[128];
	size_t size = letter_encode(letter, text, sizeof text);

	if (spool_post(options->spool, letter->time, text, size)) {
		bool poked = spool_poke(options->poke);

		if (options->debug)
			pam_syslog(pamh, LOG_DEBUG, "letter posted, recorder %s", poked ? "poked" : "not there or busy");
	} else if (!options->silent) {
		if (strerror_r(errno, why, sizeof why) != 0)
			why[0] = '\0';
		for (char *line = strchr(text, '\n'); line != NULL; line = strchr(line, '\n'))
			*line = ' ';
		pam_syslog(pamh, LOG_ERR, "cannot write to %s (%s): %s", options->spool, why, text);
	}
}

static void record(pam_handle_t *pamh, bool closing, int argc, const char **argv)
{
	struct letter letter = {0};
	struct options options = read_options(pamh, closing, argc, argv);
	const char *service = item(pamh, PAM_SERVICE);

	/* systemd-user is the user's service manager: no login, and PAM never hears of its end. */
	if (strcmp(service, "systemd-user") == 0 || is_in_list(options.skip_if, service)) {
		if (options.debug)
			pam_syslog(pamh, LOG_DEBUG, "service %s is left out", service);
	} else if (geteuid() != 0) {
		if (options.debug)
			pam_syslog(pamh, LOG_DEBUG, "the application does not run as root: nothing is recorded");
	} else if (!(closing ? compose_closed : compose_opened)(pamh, &letter)) {
		if (options.debug)
			pam_syslog(pamh, LOG_DEBUG, "recorded before through this handle");
	} else if (letter.user[0] == '\0') {
		if (!options.silent)
			pam_syslog(pamh, LOG_ERR, "a session without a user is not recorded");
	} else {
		remember(pamh, &letter);
		deliver(pamh, &options, &letter);
	}
}

/* --- Failed logins --------------------------------------------------------------------------------------------- */

/* The user goes into the letter, which root alone can read, and never to syslog: a mistyped one may be a password. */
static void deliver_failed(pam_handle_t *pamh, const struct options *options, const struct letter *letter)
{
	char text[LETTER_TEXT];
	char why[128];
	bool counted;
	size_t size = letter_encode(letter, text, sizeof text);

	if (spool_post_failed(options->spool, letter->time, text, size, &counted)) {
		if (!counted)
			spool_poke(options->poke);
		if (options->debug)
			pam_syslog(pamh, LOG_DEBUG, "failed login %s", counted ? "only counted" : "posted");
	} else if (!options->silent) {
		if (strerror_r(errno, why, sizeof why) != 0)
			why[0] = '\0';
		pam_syslog(pamh, LOG_ERR, "cannot write a failed login to %s/failed (%s)", options->spool, why);
	}
}

static void record_failed(pam_handle_t *pamh, int argc, const char **argv)
{
	struct letter letter = {0};
	struct options options = read_options(pamh, false, argc, argv);
	const char *service = item(pamh, PAM_SERVICE);

	if (is_in_list(options.skip_if, service)) {
		if (options.debug)
			pam_syslog(pamh, LOG_DEBUG, "service %s is left out", service);
	} else if (geteuid() != 0) {
		if (options.debug)
			pam_syslog(pamh, LOG_DEBUG, "the application does not run as root: nothing is recorded");
	} else {
		letter.kind = LETTER_FAILED;
		letter.time = system_now();
		gather_request(pamh, &letter);
		deliver_failed(pamh, &options, &letter);
	}
}

/* --- The ways in ----------------------------------------------------------------------------------------------- */

/* Whatever happened, the application gets success and its errno as it was. */
static int session(pam_handle_t *pamh, bool closing, int argc, const char **argv)
{
	int before = errno;

	record(pamh, closing, argc, argv);
	errno = before;
	return PAM_SUCCESS;
}

EXPORT int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return session(pamh, false, argc, argv);
}

EXPORT int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return session(pamh, true, argc, argv);
}

/* Reached only when all in front of it have failed. PAM_IGNORE has no say in the outcome: a denial stays a denial. */
EXPORT int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	int before = errno;

	(void)flags;
	record_failed(pamh, argc, argv);
	errno = before;
	return PAM_IGNORE;
}

/* PAM calls it of every module of the auth part. */
EXPORT int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_IGNORE;
}
