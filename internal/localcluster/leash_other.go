//go:build !linux

package localcluster

import "syscall"

// leashed keeps a Ctrl-C that is meant for this process from the other.
func leashed() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// stopped cannot be told here; the signal takes no longer than a message.
func stopped(int) bool { return true }
