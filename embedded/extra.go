package embedded

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/conf"
	"github.com/nats-io/nats-server/v2/server"
)

// owned are the top-level keys that Extra must not hold, and why. The server reads keys
// without regard to case.
func owned(key string) (why string, is bool) {
	switch strings.ToLower(key) {
	case "accounts", "authorization", "no_auth_user", "default_sentinel",
		"operator", "operators", "root", "roots", "root_operator", "root_operators",
		"resolver", "account_resolver", "accounts_resolver", "resolver_tls", "resolver_preload", "resolver_pinned_accounts",
		"system", "system_account", "no_system", "no_sys_acc", "no_system_account", "trusted", "trusted_keys",
		"mappings", "maps":
		return "accounts and users keep clients away from the log; name clients in the configuration's own list", true
	case "jetstream", "store_dir", "storedir", "default_js_domain":
		return "the log needs its own JetStream settings", true
	case "server_name":
		return "the name is the host's", true
	case "listen", "host", "net", "port":
		return "the client address has its own setting", true
	case "max_payload", "max_pending":
		return "the contract's sizes need it as it is", true
	case "cluster", "server_tags", "client_advertise":
		return "how hosts find one another has its own settings", true
	case "gateway":
		return "hosts form one cluster", true
	case "no_header_support":
		return "requests and the log use headers", true
	case "logfile", "log_file", "logfile_size_limit", "log_size_limit", "logfile_max_num", "log_max_num",
		"logtime", "logtime_utc", "syslog", "remote_syslog":
		return "the program writes the log", true
	}
	return "", false
}

// checkExtra names every key of the piece that is not the user's to set. Keys that it
// includes from files count too.
func checkExtra(extra string) []error {
	// Alone it must be whole: a piece that closes a block of ours would not be.
	parsed, err := conf.Parse(extra)
	if err != nil {
		return []error{fmt.Errorf("extra NATS configuration: %w", err)}
	}
	var errs []error
	for key := range parsed {
		if why, is := owned(key); is {
			errs = append(errs, fmt.Errorf("extra NATS configuration: %q cannot be set here: %s; remove it", key, why))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// checkLeafnodes keeps leaf nodes, which Extra may set up, out of our accounts: a leaf
// node is trusted with a whole account.
func checkLeafnodes(o *server.Options) error {
	ours := func(account string) bool {
		return account == logAccount || account == systemAccount || account == clientAccount || account == watchAccount
	}
	bound := ours(o.LeafNode.Account)
	for _, u := range o.LeafNode.Users {
		bound = bound || u.Account != nil && ours(u.Account.Name)
	}
	for _, r := range o.LeafNode.Remotes {
		bound = bound || ours(r.LocalAccount)
	}
	if bound {
		return errors.New("extra NATS configuration: a leaf node must not be bound to an account of this server; remove its account")
	}
	return nil
}
