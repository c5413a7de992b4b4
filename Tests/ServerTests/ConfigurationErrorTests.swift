import Base
import Testing

@testable import Server

/// The lines that a text and an environment are answered with.
private func problems(
    _ text: String,
    environment: [String: String] = [:],
    data: String? = nil,
    listen: [String] = []
) -> [String] {
    do throws(ConfigurationError) {
        _ = try Configuration.parse(
            text,
            .init(config: "r.toml", data: data, listen: listen),
            environment: environment
        )
        return []
    } catch {
        return error.problems.map(\.description)
    }
}

@Suite struct ConfigurationErrorTests {
    @Test("every problem of a file is told at once, in the order of its lines")
    func allAtOnce() {
        let text = """
            # line 1
            [storage]
            fsink = "always"
            fsync = "sometimes"
            segment_size = 64

            [[listen]]
            protocol = "stmop"
            address = "localhost"
            [defaults]
            max_body = "1MiB"
            ack_timeout = "30"
            [limts]
            [[queue]]
            name = "/topic/a"
            [auth]
            method = "files"
            [[permit]]
            sent = ["/queue/a"]
            [[permit]]
            user = "web"
            subscribe = ["/fanout/a", "/queue/a*"]
            create = "/queue/>"
            [[permit]]
            user = "web"
            send = ["queue"]
            [[permit]]
            user = "a:b"
            """
        #expect(
            problems(text) == [
                "r.toml:3: unknown key \"fsink\" in [storage]; did you mean \"fsync\"?",
                "r.toml:4: fsync = \"sometimes\": expected \"always\", \"never\" or a duration "
                    + "from 1ms to 1h, such as \"50ms\"",
                "r.toml:5: segment_size = 64: expected a size from 4KiB to 2GiB, in quotes, "
                    + "such as \"64MiB\"",
                "r.toml:8: protocol = \"stmop\": expected \"stomp\" or \"websocket\"; "
                    + "did you mean \"stomp\"?",
                "r.toml:9: address = \"localhost\": expected HOST:PORT with a port from 0 to 65535, "
                    + "such as \"127.0.0.1:61613\" or \"[::1]:61613\"",
                "r.toml:11: unknown key \"max_body\" in [defaults]; it belongs into [stomp]",
                "r.toml:12: ack_timeout = \"30\": expected a duration from 100ms to 8784h, in quotes, "
                    + "such as \"10s\"; \"0s\" = never",
                "r.toml:13: unknown table [limts]; did you mean [limits]?",
                "r.toml:15: name = \"/topic/a\": must begin with /queue/",
                "r.toml:17: method = \"files\": expected \"none\", \"file\" or \"certificate\"; "
                    + "did you mean \"file\"?",
                "r.toml:18: [[permit]] needs a user = \"NAME\", or \"*\" for all others",
                "r.toml:19: unknown key \"sent\" in [[permit]]; did you mean \"send\"?",
                "r.toml:22: subscribe has \"/fanout/a\": must begin with /queue/ or /topic/",
                "r.toml:22: subscribe has \"/queue/a*\": * stands for one whole part between dots, "
                    + "> for the whole last part",
                "r.toml:23: create = \"/queue/>\": expected a list of names and patterns, such as "
                    + "[\"/queue/orders.>\"]",
                "r.toml:25: user \"web\" was already used on line 21",
                "r.toml:26: send has \"queue\": must begin with /queue/, /fanout/ or /topic/",
                "r.toml:28: user = \"a:b\": expected a user's name, or \"*\"",
            ]
        )
    }

    @Test(
        "one wrong value is told with its expected form",
        arguments: [
            (
                "[stomp]\nmax_headers = 0",
                "2: max_headers = 0: expected a whole number from 1 to 10000"
            ),
            (
                "[stomp]\nmax_headers = 10001",
                "2: max_headers = 10001: expected a whole number from 1 to 10000"
            ),
            (
                "[stomp]\nmax_headers = \"9\"",
                "2: max_headers = \"9\": expected a whole number from 1 to 10000"
            ),
            (
                "[defaults]\nmax_messages = -1",
                "2: max_messages = -1: expected a whole number from 0 up"
            ),
            (
                "[stomp]\nheart_beat_send = \"1ms\"",
                "2: heart_beat_send = \"1ms\": expected a duration from 100ms to 1h, in quotes, "
                    + "such as \"10s\"; \"0s\" = never"
            ),
            (
                "[stomp]\nconnect_timeout = \"0s\"",
                "2: connect_timeout = \"0s\": expected a duration from 100ms to 10m, in quotes, "
                    + "such as \"10s\""
            ),
            (
                "[defaults]\nmax_bytes = \"5MB\"",
                "2: max_bytes = \"5MB\": expected a size, in quotes, such as \"64MiB\""
            ),
            (
                "[log]\nformat = true",
                "2: format = true: expected \"text\" or \"json\""
            ),
            (
                "[log]\nlevel = \"warn\"",
                "2: level = \"warn\": expected \"trace\", \"debug\", \"info\", \"notice\", "
                    + "\"warning\", \"error\" or \"critical\""
            ),
            (
                "[create]\nallow = \"/queue/>\"",
                "2: allow = \"/queue/>\": expected a list of patterns, such as [\"/queue/>\"]"
            ),
            (
                "[storage]\ndirectory = \"\"",
                "2: directory = \"\": expected the path of a directory"
            ),
            (
                "[defaults]\nack_timeout = 1979-05-27",
                "2: ack_timeout = 1979-05-27: expected a duration from 100ms to 8784h, in quotes, "
                    + "such as \"10s\"; \"0s\" = never"
            ),
        ]
    )
    func values(text: String, problem: String) {
        #expect(problems(text) == ["r.toml:" + problem])
    }

    @Test(
        "tables in the wrong form are told the right one",
        arguments: [
            (
                "[queue]\nname = \"/queue/a\"",
                "1: queue is a list of tables, each written [[queue]]"
            ),
            ("[[storage]]", "1: storage is one table, written [storage]"),
            ("\nlimits = 5", "2: limits is one table, written [limits]"),
            ("\nqueue = [1]", "2: queue is a list of tables, each written [[queue]]"),
            (
                "fsync = \"always\"",
                "1: key \"fsync\" stands outside of any table; it belongs into "
                    + "[storage]"
            ),
            ("[auth]\nusers = \"\"", "2: users = \"\": expected the path of a file"),
            (
                "[[listen]]\ntls = {}\naddress = \"a:1\"",
                "2: tls needs certificate = \"FILE\""
            ),
            (
                "[[listen]]\naddress = \"a:1\"\n[listen.tls]\ncertificate = \"c\"",
                "3: tls needs key = \"FILE\""
            ),
            (
                "[[listen]]\naddress = \"a:1\"\n[listen.tls]\ncertificate = \"c\"\nkey = 5",
                "5: key = 5: expected the path of a PEM file"
            ),
            (
                "[[listen]]\naddress = \"a:1\"\ntls.certificate = \"c\"\ntls.client_ca = \"c\""
                    + "\ntls.key = \"\"",
                "5: key = \"\": expected the path of a PEM file"
            ),
            (
                "[[listen]]\naddress = \"a:1\"\ntls = { certificate = \"c\", kee = \"k\" }",
                "3: unknown key \"kee\" in tls; did you mean \"key\"?"
            ),
            (
                "[[listen]]\naddress = \"a:1\"\ntls = true",
                "3: tls expected a table, such as { certificate = ..., key = ..., client_ca = ... }"
            ),
            (
                "[[listen]]\naddress = \"a:1\"\norigins = [\"https://a\"]",
                "3: origins are for protocol = \"websocket\" only"
            ),
            (
                "[[listen]]\naddress = \"a:1\"\nprotocol = \"websocket\"\norigins = [\"a/b\"]",
                "4: origins = [...]: expected a list such as [\"https://app.example\"], "
                    + "or [\"*\"] for all"
            ),
            ("[[qeue]]", "1: unknown table [[qeue]]; did you mean [[queue]]?"),
            (
                "[x]",
                "1: unknown table [x]; known: [storage], [[listen]], [create], [defaults], "
                    + "[[queue]], [[fanout]], [[topic]], [stomp], [limits], [auth], [[permit]], [log]"
            ),
            ("listen = []", "1: at least one [[listen]] is needed"),
        ]
    )
    func tables(text: String, problem: String) {
        #expect(problems(text) == ["r.toml:" + problem])
    }

    @Test("a syntax error stands alone, with its line")
    func syntax() throws {
        let lines = problems("[storage]\nfsink = 1\nfsync = always")
        #expect(lines.count == 1)
        #expect(try #require(lines.first).hasPrefix("r.toml:3: TOML: "))
    }

    @Test("a zero byte is refused, for the parser would stop there silently")
    func zeroByte() {
        #expect(problems("[log]\n\0[x]") == ["r.toml:2: the file holds a zero byte"])
    }

    @Test(
        "a table whose name does not begin like one is refused, and ends nothing else",
        arguments: ["[[[", "[$a]", "[", "[[", "[ =]", "  [[ .a]]", "[\n[a]", "[[a]]\n[(]"]
    )
    func tableNames(text: String) {
        #expect(problems(text).count == 1)
        #expect(problems(text)[0].hasPrefix("r.toml:"))
    }

    @Test("a bad variable is named after the file's problems")
    func environment() {
        let lines = problems(
            "[x]",
            environment: [
                "RADIATOR_STORAGE_FSYNC": "sometimes", "RADIATOR_STORAGE_FSINK": "1",
                "RADIATOR_CREATE_ALLOW": "/queue/>", "RADIATOR_LISTEN_ADDRESS": "a:1",
                "RADIATOR_DEFAULTS_ACK_TIMEOUT": "1 h", "RADIATOR_STOMP_MAX_HEADERS": "many",
            ]
        )
        #expect(lines.first?.hasPrefix("r.toml:1: unknown table [x]") == true)
        #expect(
            Set(lines.dropFirst()) == [
                "RADIATOR_STORAGE_FSYNC: sometimes: expected \"always\", \"never\" or a duration "
                    + "from 1ms to 1h, such as \"50ms\"",
                "RADIATOR_STORAGE_FSINK: sets no known key; did you mean \"RADIATOR_STORAGE_FSYNC\"?",
                "RADIATOR_CREATE_ALLOW: a list cannot be set by the environment; set it in the file",
                "RADIATOR_LISTEN_ADDRESS: [[listen]] cannot be set by the environment",
                "RADIATOR_DEFAULTS_ACK_TIMEOUT: 1 h: expected a duration from 100ms to 8784h, in "
                    + "quotes, such as \"10s\"; \"0s\" = never",
                "RADIATOR_STOMP_MAX_HEADERS: many: expected a whole number from 1 to 10000",
            ]
        )
    }

    @Test("bad options of the command line are named")
    func commandLine() {
        #expect(
            problems("", data: "", listen: ["61613"]) == [
                "--data: \"\": expected the path of a directory",
                "--listen: \"61613\": expected HOST:PORT with a port from 0 to 65535, such as "
                    + "\"127.0.0.1:61613\" or \"[::1]:61613\"",
            ]
        )
    }

    @Test("a file that is not there is named with the system's reason")
    func missingFile() {
        #expect(throws: ConfigurationError.self) {
            try Configuration.load(.init(config: "/nowhere/r.toml"), environment: [:])
        }
        do {
            _ = try Configuration.load(.init(config: "/nowhere/r.toml"), environment: [:])
        } catch {
            #expect(
                error.description == "/nowhere/r.toml: cannot be read: No such file or directory"
            )
        }
    }
}

@Suite struct ConfigurationRuleTests {
    @Test("a second rule of one name or pattern is told where the first is")
    func duplicates() {
        let text = """
            [[queue]]
            name = "/queue/a"
            [[queue]]
            match = "/queue/a.>"
            [[queue]]
            name = "/queue/a"
            [[queue]]
            match = "/queue/a.>"
            """
        #expect(
            problems(text) == [
                "r.toml:6: name \"/queue/a\" was already used on line 2",
                "r.toml:8: match \"/queue/a.>\" was already used on line 4",
            ]
        )
    }

    @Test("two listeners on one address are refused, unless the system chooses the port")
    func listeners() {
        let listen = "[[listen]]\naddress = \"127.0.0.1:1\"\n"
        #expect(
            problems(listen + listen)
                == ["r.toml:4: address \"127.0.0.1:1\" is listened on twice"]
        )
        let free = "[[listen]]\naddress = \"127.0.0.1:0\"\n"
        #expect(problems(free + free).isEmpty)
        #expect(
            problems("[[listen]]\nprotocol = \"stomp\"")
                == ["r.toml:1: [[listen]] needs an address = \"HOST:PORT\""]
        )
    }

    @Test(
        "a rule without one clear name is refused",
        arguments: [
            ("[[queue]]", "1: [[queue]] needs a name or a match, and not both"),
            (
                "[[topic]]\nname = \"/topic/a\"\nmatch = \"/topic/b\"",
                "1: [[topic]] needs a name or a match, and not both"
            ),
            ("[[queue]]\nname = 5", "2: name = 5: expected a name such as \"/queue/orders\""),
            (
                "[[queue]]\nname = \"/queue/a.>\"",
                "2: name = \"/queue/a.>\": a name has no * or >; patterns are written match = \"...\""
            ),
            (
                "[[queue]]\nmatch = \"/queue/>.a\"",
                "2: match = \"/queue/>.a\": * stands for one whole part between dots, "
                    + "> for the whole last part"
            ),
            (
                "[[queue]]\nname = \"/queue/ä\"",
                "2: name = \"/queue/ä\": may hold letters a to z, digits and . _ - : @ / only"
            ),
            (
                "[[queue]]\nname = \"/queue/\"",
                "2: name = \"/queue/\": must have 1 to 255 characters after /queue/"
            ),
            (
                "[create]\nallow = [\"/fanout/>\"]",
                "2: allow has \"/fanout/>\": must begin with /queue/ or /topic/"
            ),
        ]
    )
    func names(text: String, problem: String) {
        #expect(problems(text) == ["r.toml:" + problem])
    }

    @Test("a name of 255 characters is accepted, one more is not")
    func nameLength() {
        let name = "/queue/" + String(repeating: "n", count: 255)
        #expect(problems("[[queue]]\nname = \"\(name)\"").isEmpty)
        #expect(problems("[[queue]]\nname = \"\(name)n\"").count == 1)
        #expect(problems("[[queue]]\nmatch = \"\(name.dropLast()).>\"").count == 1)
    }

    @Test("fan-out children are queues that exist or may be created, each once")
    func fanoutChildren() {
        let text = """
            [create]
            allow = ["/queue/free.*"]
            [[queue]]
            name = "/queue/orders"
            [[queue]]
            match = "/queue/m.>"
            [[fanout]]
            name = "/fanout/good"
            children = ["/queue/orders", "/queue/m.a.b", "/queue/free.x"]
            [[fanout]]
            name = "/fanout/bad"
            children = [
                "/queue/order", "/queue/free.x.y",
                "/topic/t", "/queue/orders", "/queue/orders",
            ]
            [[fanout]]
            name = "/fanout/none"
            """
        #expect(
            problems(text) == [
                "r.toml:12: child \"/queue/order\": is no [[queue]], and no match or [create] allow "
                    + "covers it; did you mean \"/queue/orders\"?",
                "r.toml:12: child \"/queue/free.x.y\": is no [[queue]], and no match or [create] "
                    + "allow covers it",
                "r.toml:12: child \"/topic/t\": must begin with /queue/",
                "r.toml:12: child \"/queue/orders\": is listed twice",
                "r.toml:16: [[fanout]] needs at least one queue in children",
            ]
        )
    }
}
