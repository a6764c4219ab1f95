/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * exercise CONFDIR SERVICE PROCESSES THREADS SESSIONS [failed]
 *
 * A PAM application for the tests: all processes start at the same moment; in each, every thread opens and closes
 * sessions, one after the other, of the users p<process>t<thread>s<session>, from a terminal and a host with hostile
 * names; with `failed` they only try to log in, and must not be let in. Fails if PAM answers otherwise, or if a
 * descriptor or a blocked signal is left behind.
 */

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <security/pam_appl.h>

struct work {
	const char *confdir;
	const char *service;
	int process;
	int thread;
	int sessions;
	bool must_fail; /* logins instead of sessions */
	bool failed;
};

static int say_nothing(int count, const struct pam_message **messages, struct pam_response **replies, void *data)
{
	(void)count;
	(void)messages;
	(void)replies;
	(void)data;
	return PAM_CONV_ERR;
}

static bool run_session(const struct work *work, int session)
{
	static const char tty[] = "/dev/\033]0;x\007\nuser root\nend\n";
	static const struct pam_conv conversation = {say_nothing, NULL};
	char user[64];
	char host[400]; /* libpam itself fails on one that is too long for an audit record */
	pam_handle_t *pamh = NULL;

	memset(host, '\xE2', sizeof host - 1);
	host[sizeof host - 1] = '\0';
	snprintf(user, sizeof user, "p%dt%ds%d", work->process, work->thread, session);
	if (pam_start_confdir(work->service, user, &conversation, work->confdir, &pamh) != PAM_SUCCESS)
		return false;

	bool done = pam_set_item(pamh, PAM_TTY, tty) == PAM_SUCCESS && pam_set_item(pamh, PAM_RHOST, host) == PAM_SUCCESS;

	if (work->must_fail)
		done = done && pam_authenticate(pamh, 0) != PAM_SUCCESS && pam_setcred(pamh, 0) != PAM_SUCCESS;
	else
		done = done && pam_open_session(pamh, 0) == PAM_SUCCESS && pam_close_session(pamh, 0) == PAM_SUCCESS;
	return pam_end(pamh, PAM_SUCCESS) == PAM_SUCCESS && done;
}

static void *run_thread(void *argument)
{
	struct work *work = argument;
	sigset_t before, after;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	for (int session = 0; session < work->sessions; session++)
		if (!run_session(work, session))
			work->failed = true;
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	if (sigismember(&before, SIGXFSZ) != sigismember(&after, SIGXFSZ))
		work->failed = true;
	return NULL;
}

static int count_descriptors(void)
{
	int count = 0;
	DIR *directory = opendir("/proc/self/fd");

	while (directory != NULL && readdir(directory) != NULL)
		count++;
	if (directory != NULL)
		closedir(directory);
	return count;
}

static bool run_process(struct work work, int threads)
{
	pthread_t *ids = calloc((size_t)threads, sizeof *ids);
	struct work *works = calloc((size_t)threads, sizeof *works);

	openlog(NULL, LOG_NDELAY, LOG_AUTHPRIV); /* now, so that the log's own descriptor is not taken for a leak */

	int descriptors = count_descriptors();
	bool done = ids != NULL && works != NULL;

	for (work.thread = 0; done && work.thread < threads; work.thread++) {
		works[work.thread] = work;
		if (pthread_create(&ids[work.thread], NULL, run_thread, &works[work.thread]) != 0)
			exit(EXIT_FAILURE);
	}
	for (int thread = 0; done && thread < threads; thread++)
		pthread_join(ids[thread], NULL);
	for (int thread = 0; done && thread < threads; thread++)
		done = !works[thread].failed;
	free(ids);
	free(works);
	return done && descriptors == count_descriptors();
}

static bool run_all(struct work work, int processes, int threads)
{
	int gate[2];
	int status;
	char byte;
	bool done = true;

	if (pipe(gate) != 0)
		return false;
	for (work.process = 0; work.process < processes; work.process++) {
		pid_t child = fork();

		if (child < 0)
			return false;
		if (child == 0) {
			close(gate[1]);
			_exit(read(gate[0], &byte, 1) == 0 && run_process(work, threads) ? EXIT_SUCCESS : EXIT_FAILURE);
		}
	}
	close(gate[1]); /* the end of file is the starting shot */
	close(gate[0]);
	while (wait(&status) > 0)
		done = status == 0 && done;
	return done;
}

int main(int argc, char **argv)
{
	if (argc != 6 && (argc != 7 || strcmp(argv[6], "failed") != 0)) {
		fprintf(stderr, "usage: exercise CONFDIR SERVICE PROCESSES THREADS SESSIONS [failed]\n");
		return 2;
	}

	struct work work = {.confdir = argv[1], .service = argv[2], .sessions = atoi(argv[5]), .must_fail = argc == 7};
	int processes = atoi(argv[3]);
	int threads = atoi(argv[4]);
	bool done = processes == 1 ? run_process(work, threads) : run_all(work, processes, threads);

	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
