package main

import (
	"fmt"
	"os"
	"syscall"
)

// ownerOfProcess is the user that a directory of /proc belongs to.
func ownerOfProcess(dir string) (int, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%s has no owner", dir)
	}
	return int(stat.Uid), nil
}
