/* Stand-in for the library that forks the zygote's children: no sandbox, only the fork and its contract.
 * One child for each byte that arrives on descriptor 9, which comes with the child's 0, 1, 2 and 3 (SCM_RIGHTS). */
#define PY_SSIZE_T_CLEAN
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

extern void PyOS_BeforeFork(void);
extern void PyOS_AfterFork_Child(void);
extern void PyOS_AfterFork_Parent(void);

int cloister_zygote_serve(void) {
    for (;;) {
        char byte;
        union { struct cmsghdr align; char bytes[CMSG_SPACE(4 * sizeof(int))]; } control;
        struct iovec part = { &byte, 1 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = sizeof control };
        if (recvmsg(9, &message, 0) <= 0) return 1;
        int *fds = (int *)CMSG_DATA(CMSG_FIRSTHDR(&message));
        PyOS_BeforeFork();
        pid_t pid = fork();
        if (pid == 0) {
            PyOS_AfterFork_Child();
            int high[4];
            for (int i = 0; i < 4; i++) high[i] = dup2(fds[i], 100 + i);
            for (int i = 0; i < 4; i++) dup2(high[i], i);
            closefrom(4);
            setenv("CLOISTER_CELL_FD", "3", 1);
            return 0;
        }
        PyOS_AfterFork_Parent();
        for (int i = 0; i < 4; i++) close(fds[i]);
        if (write(9, &pid, sizeof pid) != sizeof pid) return 2;
    }
}
