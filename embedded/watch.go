package embedded

import "fmt"

// watchAccount is that of clients who look at the servers, and see no documents: a
// monitoring system, say. Answers to others do not pass through it.
const watchAccount = "WATCH"

// serverCalls are the questions about servers that change nothing. The server answers
// them in its own account, where a subject is a command to a server or an entry of a
// Raft log. Nobody from outside is let in there: one who was, and could only ask, could
// still have the answer sent to such a subject. Across an export it comes back to who
// asked, whatever reply subject it named.
//
// PROFILEZ is not among them: it takes the processor for seconds, and tells what is in memory.
var serverCalls = func() []call {
	calls := []call{
		{"$SYS.REQ.SERVER.PING", true},
		// Not with a wildcard for the server: each account has this one already, for its
		// own connections, unless it is named here. It would be answered twice.
		{"$SYS.REQ.SERVER.PING.CONNZ", true},
	}
	for _, page := range []string{
		"IDZ", "STATSZ", "VARZ", "SUBSZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "JSZ", "HEALTHZ", "EXPVARZ", "IPQUEUESZ", "RAFTZ",
	} {
		calls = append(calls, call{"$SYS.REQ.SERVER.*." + page, true}) // the server's id, or PING for all
	}
	return calls
}()

// serverEvents are what servers tell by themselves, in their own account.
var serverEvents = []string{
	"$SYS.SERVER.>",
	"$SYS.ACCOUNT.>",
	"$JS.EVENT.ADVISORY.DOMAIN.>",
	"$JS.EVENT.ADVISORY.SERVER.>",
}

// logEvents are what JetStream tells of the streams, in their account.
var logEvents = []string{
	"$JS.EVENT.ADVISORY.API",
	"$JS.EVENT.ADVISORY.API.>",
	"$JS.EVENT.ADVISORY.CONSUMER.>",
	"$JS.EVENT.ADVISORY.STREAM.>",
	"$JS.EVENT.METRIC.>",
}

// eventSubjects are what `nats events` and `nats server watch` subscribe to.
var eventSubjects = []string{"$SYS.SERVER.>", "$SYS.ACCOUNT.>", "$JS.EVENT.ADVISORY.>", "$JS.EVENT.METRIC.>"}

// watchers are the accounts from which servers are looked at.
var watchers = []string{clientAccount, watchAccount}

func renderSystemAccount(line func(string, ...any)) {
	line("  %s {", systemAccount)
	line("    exports: [")
	for _, call := range serverCalls {
		line("      { service: %s, response_type: %s, accounts: %s }", quote(call.subject), call.responses(), list(watchers))
	}
	exportEvents(line, serverEvents)
	line("    ]")
	line("  }")
}

func (c config) renderWatchAccount(line func(string, ...any)) {
	line("  %s {", watchAccount)
	line("    users: [")
	for _, u := range c.Clients {
		if u.Role == RoleSystem {
			renderUser(line, u)
		}
	}
	line("    ]")
	line("    imports: [")
	importWatch(line)
	line("    ]")
	line("  }")
}

func exportEvents(line func(string, ...any), subjects []string) {
	for _, s := range subjects {
		line("      { stream: %s, accounts: %s }", quote(s), list(watchers))
	}
}

// importWatch is the way to the servers' answers and events.
func importWatch(line func(string, ...any)) {
	for _, call := range serverCalls {
		line("      { service: { account: %s, subject: %s } }", systemAccount, quote(call.subject))
	}
	for _, s := range serverEvents {
		line("      { stream: { account: %s, subject: %s } }", systemAccount, quote(s))
	}
	for _, s := range logEvents {
		line("      { stream: { account: %s, subject: %s } }", logAccount, quote(s))
	}
}

// watchPermissions are those of a client that only looks at servers.
func watchPermissions() string {
	return fmt.Sprintf("permissions: { publish: { allow: %s }, subscribe: { allow: %s } }",
		list(subjects(serverCalls)), list(append([]string{"_INBOX.>"}, eventSubjects...)))
}

func subjects(calls []call) []string {
	list := make([]string, len(calls))
	for i, c := range calls {
		list[i] = c.subject
	}
	return list
}
