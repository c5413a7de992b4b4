import Base
import Testing

@testable import Server

@Suite struct ConfigurationWritingTests {
    private let text = """
        [storage]
        directory = "with \\"quotes\\" and \\\\"
        fsync = "50ms"
        segment_size = "10000B"
        [[listen]]
        address = "127.0.0.1:1"
        [[listen]]
        address = "127.0.0.1:2"
        protocol = "websocket"
        origins = ["https://a.example", "*"]
        [listen.tls]
        certificate = "c.pem"
        key = "k \\"quoted\\".pem"
        [[listen]]
        address = "127.0.0.1:3"
        tls = { certificate = "c3.pem", key = "k3.pem", client_ca = "a3.pem" }
        [create]
        allow = ["/queue/a.>", "/topic/*"]
        [defaults]
        dead_letter = ""
        requeue_delay = ["1s", "1500ms"]
        [[queue]]
        match = "/queue/a.>"
        prefetch = 7
        requeue_delay = "0s"
        [[queue]]
        match = "/queue/a.b.>"
        message_ttl = "1h"
        [[queue]]
        name = "/queue/a.b.c"
        storage = "memory"
        [[fanout]]
        name = "/fanout/f"
        children = ["/queue/a.b.c", "/queue/a.x"]
        [[topic]]
        name = "/topic/t"
        [[topic]]
        match = "/topic/u.>"
        [auth]
        method = "file"
        [[permit]]
        user = "web"
        send = ["/queue/a.>"]
        """

    @Test("what is shown is a file that means the same")
    func shows() throws {
        for configuration in [Configuration(), try Configuration.parse(text)] {
            #expect(try Configuration.parse(configuration.toml) == configuration)
        }
    }

    @Test("every supported key is shown")
    func complete() throws {
        var configuration = try Configuration.parse(text)
        configuration.queue[2].prefetch = 3
        let paths = Set(configuration.settings.joined().map(\.path))
        for section in ConfigurationKeys.sections {
            for key in section.supported {
                let isShown = paths.contains { path in
                    path.hasPrefix(section.name) && path.hasSuffix(".\(key)")
                }
                #expect(isShown, "\(section.header) \(key)")
            }
        }
    }

    @Test(
        "a destination is explained by the rule that holds",
        arguments: [
            ("/queue/a.b.c", "[[queue]] name = \"/queue/a.b.c\", number 3"),
            ("/queue/a.b.x", "[[queue]] match = \"/queue/a.b.>\", number 2"),
            ("/queue/a.x", "[[queue]] match = \"/queue/a.>\", number 1"),
            ("/queue/x", "none; [defaults] hold"), ("/topic/t", "[[topic]] name = \"/topic/t\""),
            ("/topic/x", "none; the built-in defaults hold"),
            ("/queue/x", "clients cannot create it"), ("/topic/x", "has \"/topic/*\""),
            ("/queue/a.b.x", "message_ttl = \"1h\""), ("/queue/a.x", "prefetch = 7"),
            ("/queue/a.x", "gets what is sent to /fanout/f"),
            ("/fanout/f", "/queue/a.b.c\n  /queue/a.x"),
        ]
    )
    func explains(name: String, part: String) throws {
        let explanation = try Configuration.parse(text).explanation(of: name)
        #expect(explanation.contains(part), "\(explanation)")
    }

    @Test("names that are none are refused", arguments: ["a", "/queue/", "/queue/*", "/fanout/x"])
    func refuses(name: String) throws {
        let configuration = try Configuration.parse(text)
        #expect(throws: ConfigurationError.self) { try configuration.explanation(of: name) }
    }

    @Test("a reload tells what holds now, what needs a restart, and takes only the former")
    func changes() throws {
        let old = try Configuration.parse(text)
        let newer = try Configuration.parse(
            text.replacing("fsync = \"50ms\"", with: "fsync = \"always\"")
                .replacing("prefetch = 7", with: "prefetch = 9\nstorage = \"memory\"")
                .replacing("allow = [\"/queue/a.>\", \"/topic/*\"]", with: "allow = []")
                .replacing("send = [\"/queue/a.>\"]", with: "send = []")
                .replacing("method = \"file\"", with: "method = \"certificate\"")
                .replacing(
                    "children = [\"/queue/a.b.c\", \"/queue/a.x\"]",
                    with: "children = [\"/queue/a.b.c\"]"
                )
        )
        let changes = old.changes(to: newer)
        #expect(
            changes.applied
                == [
                    "auth.method", "create.allow", "fanout[/fanout/f].children",
                    "permit[web].send", "queue[/queue/a.>].prefetch",
                ]
        )
        #expect(changes.needRestart == ["queue[/queue/a.>].storage", "storage.fsync"])
        #expect(changes.unchangedCount > 50)
        let running = old.taking(newer)
        #expect(running.queue[0].prefetch == 9 && running.queue[0].storage == .persistent)
        #expect(running.auth.method == .certificate && running.permit[0].send == [])
        #expect(running.create.allow == [] && running.storage == old.storage)
        #expect(running.changes(to: newer).applied == [])
    }

    @Test("of a listener only origins and the files of TLS change without a restart")
    func listeners() throws {
        let old = try Configuration.parse(text)
        let newer = try Configuration.parse(
            text.replacing("[\"https://a.example\", \"*\"]", with: "[]")
                .replacing("certificate = \"c3.pem\"", with: "certificate = \"new.pem\"")
        )
        let changes = old.changes(to: newer)
        #expect(changes.applied == ["listen[127.0.0.1:2].origins", "listen[127.0.0.1:3].tls"])
        #expect(changes.needRestart == [])
        let running = old.taking(newer)
        #expect(running.listen[1].origins == [])
        #expect(running.listen[2].tls?.certificate == "new.pem")
        let without = try Configuration.parse(
            text.replacing("tls = { certificate = \"c3.pem\", key", with: "# key")
        )
        #expect(old.changes(to: without).needRestart == ["listen[127.0.0.1:3].tls"])
        #expect(old.taking(without).listen[2].tls == old.listen[2].tls)
    }

    @Test("a listener takes nothing from another one, whatever stands where in the file")
    func movedListeners() throws {
        let old = try Configuration.parse(text)
        var swapped = old
        swapped.listen.swapAt(1, 2)
        #expect(old.taking(swapped).listen == old.listen)
        #expect(old.changes(to: swapped).applied == [])
        #expect(old.changes(to: swapped).needRestart == [])
        var shorter = old
        shorter.listen.removeFirst()
        #expect(old.taking(shorter).listen == old.listen)
        #expect(old.changes(to: shorter).needRestart == ["listen[127.0.0.1:1]"])
        var longer = old
        longer.listen.insert(Configuration.Listen(), at: 0)
        longer.listen[0].tls = old.listen[2].tls
        #expect(old.taking(longer).listen == old.listen)
        #expect(old.changes(to: longer).needRestart == ["listen[127.0.0.1:61613]"])
        var spoken = old
        spoken.listen[0].protocol = .websocket
        #expect(old.taking(spoken).listen == old.listen)
        #expect(old.changes(to: spoken).needRestart == ["listen[127.0.0.1:1].protocol"])
    }

    @Test("rules that change places are no change")
    func movedRules() throws {
        let old = try Configuration.parse(text)
        var newer = old
        newer.queue.swapAt(0, 2)
        newer.topic.swapAt(0, 1)
        #expect(old.changes(to: newer).applied == [])
        #expect(old.changes(to: newer).needRestart == [])
    }
}
