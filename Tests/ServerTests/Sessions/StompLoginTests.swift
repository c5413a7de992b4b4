import Base
import Broker
import Dispatch
import Foundation
import NIOCore
import NIOPosix
import StompCodec
import Testing

@testable import Server

/// Two users with their passcodes, hashed once for all tests.
private enum Users {
    static let web = "correct horse"
    static let ops = "battery staple"
    static let hashes = ["web": hash(web), "ops": hash(ops)]

    private static func hash(_ passcode: String) -> String {
        (try? PasscodeHash.make(Array(passcode.utf8))) ?? ""
    }

    static func rules(
        _ hashes: [String: String] = hashes,
        permits: [String: Permissions] = [:]
    ) throws -> AccessRules {
        let decoy = try PasscodeHash.decoy()
        return AccessRules(
            Authenticator(.passcodes(hashes: hashes, decoy: decoy)),
            permits: permits
        )
    }
}

private func connect(_ user: String, _ passcode: String, _ more: String = "") -> String {
    "CONNECT\naccept-version:1.2\nhost:h\nlogin:\(user)\npasscode:\(passcode)\n\(more)\n\0"
}

@Suite(.timeLimit(.minutes(2)), .serialized)
struct StompLoginTests {
    @Test(
        "the right passcode is let in; frames behind the CONNECT wait for it, also after the end of input"
    )
    func right() async throws {
        try await withBroker(access: TestAccess(rules: try Users.rules())) { broker in
            let client = try await broker.client()
            try await client.send(
                connect("web", Users.web) + "SEND\ndestination:/queue/a\nreceipt:1\n\nx\0\n"
            )
            try await client.channel.close(mode: .output)
            #expect(try await client.next().command == .connected)
            try await client.expectReceipt("1")
            try await client.expectClosed()
            #expect(broker.lines.beginning("login method=file peer=").count == 1)
            #expect(broker.lines.beginning("login ").allSatisfy { $0.hasSuffix("user=web") })
        }
    }

    @Test(
        "a wrong user, a wrong passcode and both get the same answer, not before a second has passed",
        arguments: [
            ("web", "wrong horse"), ("wbe", "correct horse"), ("wbe", "wrong horse"), ("web", ""),
        ]
    )
    func wrong(user: String, passcode: String) async throws {
        try await withBroker(access: TestAccess(rules: try Users.rules())) { broker in
            let client = try await broker.client()
            let begin = ContinuousClock.now
            try await client.send(connect(user, passcode, "receipt:r\n"))
            let error = try await client.next()
            #expect(error.command == .error && error.message == "access refused")
            #expect(error.receiptID == "r")
            let text = passcode.isEmpty ? "wants a login" : "The login or the passcode is wrong."
            #expect(error.body.contains(text))
            #expect(ContinuousClock.now - begin >= .seconds(1))
            try await client.expectClosed()
            let reason = passcode.isEmpty ? "login_missing" : "login_wrong"
            let line = try #require(broker.lines.beginning("login refused").first)
            #expect(line.hasSuffix("reason=\(reason) user=\(user)"))
            #expect(!broker.lines.all.contains { $0.contains("horse") })
        }
    }

    @Test("who fails again waits longer; others from the same address are let in meanwhile")
    func longer() async throws {
        try await withBroker(access: TestAccess(rules: try Users.rules())) { broker in
            let (first, second) = (try await broker.client(), try await broker.client())
            try await first.send(connect("web", "wrong horse"))
            try await second.send(connect("web", "wrong horse"))
            let begin = ContinuousClock.now
            let other = try await broker.client()
            try await other.send(connect("web", Users.web))
            #expect(try await other.next().command == .connected)
            #expect(broker.lines.beginning("login refused").count == 2)
            try await first.expectError("access refused")
            try await second.expectError("access refused")
            #expect(ContinuousClock.now - begin > .milliseconds(1500))
        }
    }

    @Test("a login whose client has gone is not answered, and leaves nothing behind")
    func abandoned() async throws {
        try await withBroker(access: TestAccess(rules: try Users.rules())) { broker in
            // All come and go while the broker stands still, so that it finds them gone.
            let (entered, go) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
            let standing = broker.group.next().submit {
                entered.signal()
                go.wait()
            }
            await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    entered.wait()
                    continuation.resume()
                }
            }
            do {
                for _ in 0..<20 {
                    let client = try await broker.client()
                    try await client.send(connect("web", "wrong horse"))
                    try await client.close()
                }
            } catch {
                Issue.record(error)
            }
            go.signal()
            try await standing.get()
            let last = try await broker.client()
            try await last.send(connect("web", "wrong horse"))
            try await last.expectError("access refused")
            try await broker.wait(while: { $0.loop.connectionCount > 0 || $0.loop.access.isBusy })
            #expect(broker.lines.beginning("login refused").count == 1)
        }
    }

    @Test("past the logins that may wait there is an ERROR that names the limit")
    func crowded() async throws {
        let access = TestAccess(rules: try Users.rules(), waitingMax: 1)
        try await withBroker(access: access) { broker in
            var clients: [TestClient] = []
            for _ in 0..<8 {
                clients.append(try await broker.client())
                try await clients[clients.count - 1].send(connect("web", Users.web))
            }
            var messages: [String?] = []
            for client in clients {
                let frame = try await client.next()
                messages.append(frame.message)
                if frame.command == .error {
                    #expect(frame.body.contains("More logins wait to be checked than may: 1."))
                }
            }
            #expect(messages.contains("too many logins"))
            #expect(messages.contains(nil))
        }
    }

    @Test("what comes before logins were checked is bounded over all connections")
    func tooMuchTogether() async throws {
        let access = TestAccess(rules: try Users.rules())
        try await withBroker(access: access) { broker in
            try await broker.onLoop { $0.loop.frameMemory.bytesMax = 4000 }
            let frame = "SEND\ndestination:/queue/a\nreceipt:1\n\n"
            let body = String(repeating: "x", count: 600)
            // One after the other, for each is counted when it is read.
            var clients: [TestClient] = []
            for _ in 0..<2 {
                let client = try await broker.client()
                try await client.send(connect("web", Users.web) + frame + body + "\0")
                clients.append(client)
            }
            var commands: [StompCommand] = []
            for client in clients {
                let frame = try await client.next()
                commands.append(frame.command)
                guard frame.command == .error else { continue }
                #expect(frame.message == "too much before CONNECTED")
                #expect(frame.body.contains("1000 bytes over all connections"))
            }
            #expect(commands.contains(.connected))
            try await broker.onLoop { #expect($0.loop.frameMemory.keptBytes == 0) }
        }
    }

    @Test("what comes before the login was checked is bounded", arguments: [1000, 1001])
    func tooMuch(count: Int) async throws {
        var options = StompSessionOptions()
        options.waitingLoginBytesMax = 1000
        let access = TestAccess(rules: try Users.rules())
        try await withBroker(options: options, access: access) { broker in
            let client = try await broker.client()
            let frame = "SEND\ndestination:/queue/a\nreceipt:1\n\n"
            let body = String(repeating: "x", count: count - frame.utf8.count - 1)
            try await client.send(connect("web", Users.web) + frame + body + "\0")
            if count > 1000 {
                let error = try await client.next()
                #expect(error.message == "too much before CONNECTED")
                #expect(error.body.contains("1000 bytes"))
            } else {
                #expect(try await client.next().command == .connected)
                try await client.expectReceipt("1")
            }
        }
    }

    @Test(
        "what a user may not is an ERROR that names right, destination and setting, and a log line"
    )
    func permissions() async throws {
        let web = try Permissions(send: ["/queue/a"], subscribe: [], create: ["/queue/>"])
        let rules = try Users.rules(permits: ["web": web])
        try await withBroker(access: TestAccess(rules: rules)) { broker in
            for (frame, text, right) in [
                ("SEND\ndestination:/queue/b\nreceipt:r\n\n\0", "send to /queue/b", "send"),
                (
                    "SUBSCRIBE\nid:1\ndestination:/queue/a\nreceipt:r\n\n\0",
                    "subscribe to /queue/a", "subscribe"
                ),
            ] {
                let client = try await broker.client()
                try await client.send(connect("web", Users.web))
                #expect(try await client.next().command == .connected)
                try await client.send("SEND\ndestination:/queue/a\nreceipt:1\n\n\0" + frame)
                try await client.expectReceipt("1")
                let error = try await client.next()
                #expect(error.message == "not allowed" && error.receiptID == "r")
                #expect(error.body.contains("user web may not \(text) ([[permit]])"))
                try await client.expectClosed()
                let line = try #require(broker.lines.beginning("access refused").last)
                #expect(line.hasSuffix("right=\(right) user=web"))
            }
            let nobody = try await broker.client()
            try await nobody.send(connect("ops", Users.ops))
            try await nobody.send("SEND\ndestination:/queue/a\n\n\0")
            #expect(try await nobody.next().command == .connected)
            try await nobody.expectError("not allowed")
        }
    }

    @Test("changed rules end the sessions that they concern, and no other")
    func changed() async throws {
        try await withBroker(access: TestAccess(rules: try Users.rules())) { broker in
            let (web, ops) = (try await broker.client(), try await broker.client())
            try await web.send(connect("web", Users.web))
            try await ops.send(connect("ops", Users.ops))
            #expect(try await web.next().command == .connected)
            #expect(try await ops.next().command == .connected)
            let same = try Users.rules()
            #expect(try await broker.onLoop { $0.loop.apply(same, limits: .init()) } == 0)
            var hashes = Users.hashes
            hashes["web"] = hashes["ops"]
            let newer = try Users.rules(hashes)
            #expect(try await broker.onLoop { $0.loop.apply(newer, limits: .init()) } == 1)
            try await web.expectError("access changed")
            try await ops.send("SEND\ndestination:/queue/a\nreceipt:1\n\n\0")
            try await ops.expectReceipt("1")
            let again = try await broker.client()
            try await again.send(connect("web", Users.web))
            try await again.expectError("access refused")
            let nothing = try Users.rules(hashes, permits: ["web": .everything])
            #expect(try await broker.onLoop { $0.loop.apply(nothing, limits: .init()) } == 1)
            try await ops.expectError("access changed")
        }
    }

    @Test("rules that change while a passcode is being hashed are the ones that count")
    func changedMeanwhile() async throws {
        try await withBroker(access: TestAccess(rules: try Users.rules())) { broker in
            let newer = try Users.rules(["ops": Users.hashes["ops"] ?? ""])
            let eventLoop = broker.group.next()
            let promise = eventLoop.makePromise(of: Void.self)
            // On the loop itself, so that the change comes before the hash is there.
            eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: .microseconds(200)) { task in
                let loop = broker.state.value.loop
                guard loop.access.isBusy else { return }
                task.cancel()
                _ = loop.apply(newer, limits: .init())
                promise.succeed(())
            }
            let changed = promise.futureResult
            let client = try await broker.client()
            try await client.send(connect("web", Users.web))
            try await changed.get()
            try await client.expectError("access changed")
        }
    }

    @Test("connections of a user and of an address are bounded, and free again when they end")
    func limits() async throws {
        var access = TestAccess(rules: try Users.rules())
        access.limits.perUser = 1
        access.limits.perAddress = 2
        try await withBroker(access: access) { broker in
            let first = try await broker.client()
            try await first.send(connect("web", Users.web))
            #expect(try await first.next().command == .connected)
            let second = try await broker.client()
            try await second.send(connect("web", Users.web))
            let error = try await second.next()
            #expect(
                error.body.contains(
                    "User web has as many connections as it may: connections_per_user = 1."
                )
            )
            try await second.expectClosed()
            try await broker.wait(while: { $0.loop.connectionCount > 1 })
            let idle = try await broker.client()
            try await broker.wait(while: { $0.loop.connectionCount < 2 })
            let third = try await broker.client()
            #expect(try await third.next().body.contains("connections_per_address = 2"))
            try await third.expectClosed()
            #expect(
                broker.lines.beginning("connection refused").map { $0.contains("user=web") }
                    == [true, false]
            )
            try await first.close()
            try await idle.close()
            try await broker.wait(while: { $0.loop.connectionCount > 0 })
            let again = try await broker.client()
            try await again.send(connect("web", Users.web))
            #expect(try await again.next().command == .connected)
        }
    }

    @Test("without authentication login and passcode are ignored")
    func open() async throws {
        try await withBroker { broker in
            let client = try await broker.client()
            try await client.send(connect("web", "anything"))
            #expect(try await client.next().command == .connected)
            #expect(broker.lines.all.isEmpty)
        }
    }

    @Test("by certificate, a connection without one is refused")
    func certificate() async throws {
        let rules = AccessRules(Authenticator(.certificate), permits: [:])
        try await withBroker(access: TestAccess(rules: rules)) { broker in
            let client = try await broker.client()
            try await client.send(connect("web", Users.web))
            let error = try await client.next()
            #expect(error.body.contains("wants a client certificate"))
            #expect(broker.lines.all.first?.contains("reason=certificate_missing") == true)
        }
    }

    @Test("a name with line ends or escape codes is harmless in the log")
    func forged() async throws {
        try await withBroker(access: TestAccess(rules: try Users.rules())) { broker in
            let client = try await broker.client()
            try await client.send(
                connect("a\u{1B}[2J\u{2028}b" + String(repeating: "x", count: 99), "x")
            )
            try await client.expectError("access refused")
            let line = try #require(broker.lines.beginning("login refused").first)
            #expect(line.contains("user=a?[2J?bxxx") && line.hasSuffix("x..."))
        }
    }

    @Test("a passcode in the place of a command is told to its sender, but not to the log")
    func misplaced() async throws {
        try await withBroker(access: TestAccess(rules: try Users.rules())) { broker in
            let client = try await broker.client()
            try await client.send("passcode:correct horse\n\n\0")
            try await client.expectError("unknown command")
            #expect(!broker.lines.all.contains { $0.contains("horse") })
        }
    }
}
