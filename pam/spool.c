/* SPDX-License-Identifier: BSD-2-Clause */

#include "spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "system.h"

/* So many failed logins may wait as letters, and so many may be counted, while nobody takes them: no disk is filled. */
enum { MOST_FAILED = 1000, MOST_COUNTED = 1 << 24 };

static int open_directory(int parent, const char *path)
{
	int fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || belongs_to_root(fd, S_IFDIR))
		return fd;
	close_quietly(fd);
	return -1;
}

static bool write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, text, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		text += written;
		size -= (size_t)written;
	}
	return true;
}

/*
 * A user may start su with RLIMIT_FSIZE at zero; the SIGXFSZ of such a write would kill it. The kernel sends that
 * signal to the thread that writes, so it is blocked and taken back in this thread alone: other threads, and the
 * signal's disposition, which belongs to the whole process, are left alone.
 */
static bool write_past_limit(int fd, const char *text, size_t size)
{
	static const struct timespec at_once = {0};
	sigset_t xfsz, before, pending;

	sigemptyset(&xfsz);
	sigaddset(&xfsz, SIGXFSZ);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &xfsz, &before);

	bool done = write_all(fd, text, size);
	int why = errno;

	if (!done && why == EFBIG && !sigismember(&pending, SIGXFSZ))
		sigtimedwait(&xfsz, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = why;
	return done;
}

static bool sync_to_disk(int (*sync)(int), int fd)
{
	int result;

	do
		result = sync(fd);
	while (result != 0 && errno == EINTR);
	return result == 0;
}

/* As in a maildir: whatever is in `new` is whole, and, if it is `sure`, is still there after a power cut. */
static bool post_into(int tmp, int new, const char *name, const char *text, size_t size, bool sure)
{
	int fd = openat(tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);

	if (fd < 0)
		return false;

	/* fchmod, since the umask is the application's. After the sync, close has nothing left to tell. */
	bool written = fchmod(fd, S_IRUSR | S_IWUSR) == 0 && write_past_limit(fd, text, size) &&
	               (!sure || sync_to_disk(fdatasync, fd));

	close_quietly(fd);
	if (!written || renameat(tmp, name, new, name) != 0) {
		int why = errno;

		unlinkat(tmp, name, 0);
		errno = why;
		return false;
	}
	return !sure || sync_to_disk(fsync, new);
}

/* Names sort in the order of time. */
static void make_name(char *name, size_t size, int64_t time)
{
	unsigned char nonce[4];

	system_random(nonce, sizeof nonce);
	snprintf(name, size, "%020" PRId64 ".%010ld.%06u.%02x%02x%02x%02x", time, (long)getpid(),
	         system_next_number() % 1000000, nonce[0], nonce[1], nonce[2], nonce[3]);
}

bool spool_post(const char *spool, int64_t time, const char *text, size_t size)
{
	char name[64];

	make_name(name, sizeof name, time);

	int root = open_directory(AT_FDCWD, spool);
	int tmp = root >= 0 ? open_directory(root, "tmp") : -1;
	int new = tmp >= 0 ? open_directory(root, "new") : -1;
	bool posted = new >= 0 && post_into(tmp, new, name, text, size, true);

	close_quietly(new);
	close_quietly(tmp);
	close_quietly(root);
	return posted;
}

/* Are there too many files in a directory? Not as far as is known, if it cannot be read. */
static bool is_crowded(int directory)
{
	unsigned int count = 0;
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;

	if (stream == NULL) {
		close_quietly(fd);
		return false;
	}
	for (const struct dirent *entry; count < MOST_FAILED && (entry = readdir(stream)) != NULL;)
		if (entry->d_name[0] != '.')
			count++;
	closedir(stream);
	return count >= MOST_FAILED;
}

/* The size of the file is the number: a byte can be appended by many at once. False when there is no such file. */
static bool count_one_more(int directory, bool create)
{
	struct stat status;
	int flags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (create ? O_CREAT : 0);
	int fd = openat(directory, "uncounted", flags, S_IRUSR | S_IWUSR);
	bool counted = fd >= 0 && belongs_to_root(fd, S_IFREG) && fstat(fd, &status) == 0;

	if (counted && create)
		counted = fchmod(fd, S_IRUSR | S_IWUSR) == 0; /* the umask is the application's */
	if (counted && status.st_size < MOST_COUNTED)
		counted = write_past_limit(fd, ".", 1);
	close_quietly(fd);
	return counted;
}

/*
 * While the file of what is only counted is there, too many letters wait: the recorder takes it away when it has taken
 * them. To look at all of them takes longer than all the rest, so one attempt of sixteen does, by chance.
 */
bool spool_post_failed(const char *spool, int64_t time, const char *text, size_t size, bool *counted)
{
	char name[64];

	make_name(name, sizeof name, time);

	int root = open_directory(AT_FDCWD, spool);
	int failed = root >= 0 ? open_directory(root, "failed") : -1;
	int tmp = failed >= 0 ? open_directory(failed, "tmp") : -1;
	int new = tmp >= 0 ? open_directory(failed, "new") : -1;
	bool done = false;

	*counted = false;
	if (new >= 0) {
		bool looks = name[strlen(name) - 1] == '0';

		*counted = count_one_more(failed, false) || (looks && is_crowded(new) && count_one_more(failed, true));
		done = *counted || post_into(tmp, new, name, text, size, false);
	}
	close_quietly(new);
	close_quietly(tmp);
	close_quietly(failed);
	close_quietly(root);
	return done;
}

/* Only saves the recorder's waiting: if it is not there or has much to do, it finds the letter all the same. */
bool spool_poke(const char *socket_path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(socket_path);

	if (length >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(address.sun_path, socket_path, length);

	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool sent = fd >= 0 && sendto(fd, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&address,
	                              sizeof address) == 1;

	close_quietly(fd);
	return sent;
}

