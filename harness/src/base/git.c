#include "base/git.h"

#include "base/files.h"
#include "base/subprocess.h"
#include "base/util.h"

GitState git_state(void)
{
    const char *dir = program_dir();
    const char *head[] = {"git", "-C", dir, "rev-parse", "--short=10", "HEAD", NULL};
    const char *status[] = {"git", "-C", dir, "status", "--porcelain", "--untracked-files=no", NULL};
    char *sha, *changes;
    if (command_output(head, STDERR_DROPPED, &sha) != 0 || !*sha) return (GitState){xstrdup("nogit"), false};
    bool dirty = command_output(status, STDERR_DROPPED, &changes) != 0 || *changes;
    return (GitState){sha, dirty};
}
