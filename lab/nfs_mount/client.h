// An NFSv3 client that keeps hard and soft semantics: calls that block until the server answers, or fail with EIO.
#ifndef CLIENT_H
#define CLIENT_H
#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <nfsc/libnfs.h>
#include "options.h"

// Mounts once; 0 or a negative errno with the reason in client_error().
int client_mount(const char *server, const char *path, const struct options *options);
const char *client_error(void);

// From now on a call that waits ends the process when this descriptor reports an error, since the file system was unmounted by force, and
// ends with -EINTR when the check says that nobody waits for it any more.
void client_watch(int descriptor, bool (*check)(void));

// Each returns 0 (client_read: bytes) or a negative errno.
int client_stat(const char *path, struct nfs_stat_64 *out);
int client_open(const char *path, struct nfsfh **out);
int client_read(struct nfsfh *file, uint64_t offset, size_t count, char *out);
int client_close(struct nfsfh *file);
int client_open_directory(const char *path, struct nfsdir **out);
struct nfsdirent *client_next(struct nfsdir *directory);
void client_close_directory(struct nfsdir *directory);
int client_read_link(const char *path, char *out, size_t size);
int client_statvfs(const char *path, struct statvfs *out);
#endif
