//go:build !trireme_unsynced

package controls

// Sync is that what JetStream has answered is on the disk.
const Sync = true
