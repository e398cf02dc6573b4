package embedded

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	systemAccount = "SYS"
	logAccount    = "TRIREME" // the stripes' streams; only this process enters
	clientAccount = "ADAMA"   // clients and our service

	// Inboxes of this process' connections, which clients may not subscribe to.
	logInbox     = "_LOG"
	serviceInbox = "_SERVICE"
	gateInbox    = "_GATE"
)

// hostSubjects are what operators ask hosts: their status.
const hostSubjects = "trireme.v1.>"

// A call is one subject in the account of the logs that clients reach by way of an
// export: of the JetStream API, or of what hosts ask one another.
type call struct {
	subject string
	stream  bool // it may be answered by several messages
}

// readCalls change nothing.
var readCalls = []call{
	{"$JS.API.INFO", false},
	{"$JS.API.STREAM.NAMES", false},
	{"$JS.API.STREAM.LIST", false},
	{"$JS.API.STREAM.INFO.*", false},
	{"$JS.API.STREAM.MSG.GET.*", false},
	{"$JS.API.DIRECT.GET.>", true},
	{"$JS.API.CONSUMER.NAMES.*", false},
	{"$JS.API.CONSUMER.LIST.*", false},
	{"$JS.API.CONSUMER.INFO.*.*", false},
}

// viewCalls are what `nats stream view` needs besides. They touch consumers only.
var viewCalls = []call{
	{"$JS.API.CONSUMER.MSG.NEXT.*.*", true},
	{"$JS.API.CONSUMER.DELETE.*.*", false},
}

// repairCalls are how hosts compare and fetch documents, and operators look at them.
// They change nothing.
var repairCalls = []call{
	{"trireme.repair.*.roots", false},
	{"trireme.repair.*.stand", false},
	{"trireme.repair.*.buckets", false},
	{"trireme.repair.*.index", false},
	{"trireme.repair.*.document", false},
	{"trireme.repair.*.documents", true},
	{"trireme.repair.*.credit", false}, // is not answered
}

// repairService is the name under which `nats service` finds who answers repairCalls.
const repairService = "trireme-repair"

// discoveryCalls are those of micro services, for the one service in the account of the
// logs. Clients may publish them in any case.
var discoveryCalls = []call{
	{"$SRV.*", true},
	{"$SRV.*." + repairService, true},
	{"$SRV.*." + repairService + ".*", false},
}

// ackSubjects is where `nats stream view` sends acknowledgements. They are allowed only
// so that it prints no errors: there is no way from here into the streams' account.
const ackSubjects = "$JS.ACK.>"

func (c config) renderAccounts(line func(string, ...any), k keys) {
	line("system_account: %s", systemAccount)
	if c.open() {
		line("no_auth_user: %s", k.open.public)
	}
	line("accounts {")
	renderSystemAccount(line)
	line("  %s {", logAccount)
	line("    jetstream: enabled")
	line("    users: [")
	line("      %s", ownUser(k.log, []string{">"}, []string{">"}))
	line("      %s", ownUser(k.gateOut, []string{gateSubject}, []string{gateInbox + ".>"}))
	line("    ]")
	line("    exports: [")
	for _, call := range calls() {
		line("      { service: %s, response_type: %s, accounts: [%s] }", quote(call.subject), call.responses(), clientAccount)
	}
	exportEvents(line, logEvents)
	line("    ]")
	line("  }")
	line("  %s {", clientAccount)
	line("    users: [")
	line("      %s", ownUser(k.service, []string{"adama.>", hostSubjects, "$SRV.>", "_INBOX.>", serviceInbox + ".>"}, []string{"adama.>", hostSubjects, "$SRV.>", serviceInbox + ".>"}))
	line("      %s", ownUser(k.gateIn, []string{"_INBOX.>"}, []string{gateSubject}))
	for _, u := range c.Clients {
		if u.Role != RoleSystem {
			renderUser(line, u)
		}
	}
	if c.open() {
		// A key, not a name and an empty password: nobody has to warn about that.
		line("      { nkey: %s, allowed_connection_types: [STANDARD], %s }", k.open.public, permissions(RoleOperator))
	}
	line("    ]")
	c.renderMappings(line)
	line("    imports: [")
	for _, call := range calls() {
		line("      { service: { account: %s, subject: %s } }", logAccount, quote(call.subject))
	}
	importWatch(line)
	line("    ]")
	line("  }")
	c.renderWatchAccount(line)
	line("}")
}

// renderUser is a client from outside.
func renderUser(line func(string, ...any), u User) {
	line("      { user: %s, password: %s, allowed_connection_types: [STANDARD, WEBSOCKET], %s }",
		quote(u.Name), quote(u.Password), permissions(u.Role))
}

// localSubjects are what any host answers, and where the one answers to which the
// client is connected. A queue group would not do in a cluster: the server picks a
// member at random among all hosts, also one that is frozen and has not been given up.
var localSubjects = map[string]string{
	"adama.v1.*":        "adama.v1.any.%s.$1",
	"trireme.v1.status": "trireme.v1.h.%s.status",
}

func (c config) renderMappings(line func(string, ...any)) {
	if c.Cluster == nil {
		return
	}
	line("    mappings: {")
	for _, from := range slices.Sorted(maps.Keys(localSubjects)) {
		line("      %s: %s", quote(from), quote(fmt.Sprintf(localSubjects[from], c.Name)))
	}
	line("    }")
}

func calls() []call { return slices.Concat(readCalls, viewCalls, repairCalls, discoveryCalls) }

func (c call) responses() string {
	if c.stream {
		return "stream"
	}
	return "singleton"
}

// ownUser is a user of this process: no other connection can take its place.
func ownUser(key userKey, publish, subscribe []string) string {
	return fmt.Sprintf("{ nkey: %s, allowed_connection_types: [IN_PROCESS], permissions: { publish: { allow: %s }, subscribe: { allow: %s } } }",
		key.public, list(publish), list(subscribe))
}

// permissions of a client from outside. It can subscribe to no request subject, so that
// it takes no request from the service, and it publishes no events.
func permissions(role Role) string {
	if role == RoleSystem {
		return watchPermissions()
	}
	publish := append([]string{"adama.>", "$SRV.>"}, subjects(readCalls)...)
	subscribe := []string{"_INBOX.>", "adama.event.>"}
	if role == RoleOperator {
		publish = append(publish, subjects(slices.Concat(viewCalls, repairCalls, serverCalls))...)
		publish = append(publish, hostSubjects, gateSubject, ackSubjects)
		subscribe = append(subscribe, eventSubjects...)
	}
	return fmt.Sprintf("permissions: { publish: { allow: %s, deny: %s }, subscribe: { allow: %s } }",
		list(publish), list([]string{"adama.event.>"}), list(subscribe))
}

func list(subjects []string) string {
	quoted := make([]string, len(subjects))
	for i, s := range subjects {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
