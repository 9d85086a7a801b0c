/* Calls by other numberings, under which a list by number could be walked around. foreign WAY: what it says is only seen if it lives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long plain(long number)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(0), "S"(0), "d"(0) : "rcx", "r11", "memory");
    return result;
}

static long legacy(long number)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(0), "c"(0), "d"(0) : "memory");
    return result;
}

int main(int argc, char **argv)
{
    const char *way = argv[1];
    long result = -1;
    if (!strcmp(way, "getpid"))
        result = plain(39);
    else if (!strcmp(way, "int80"))
        result = legacy(atol(argv[2]));
    else if (!strcmp(way, "x32"))
        result = plain(0x40000000 | atol(argv[2]));
    else if (!strcmp(way, "high")) /* the kernel drops the upper half of the number, and so must the filter */
        result = plain(0x100000000 | atol(argv[2]));
    printf("lives: %ld\n", result);
    return 0;
}
