import Base
import Broker
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import Server

private func key(_ number: UInt8) -> AddressKey { AddressKey([10, 0, 0, number]) }

private func check(_ name: String = "x") -> PasscodeCheck {
    PasscodeCheck(user: name, passcode: [1], hash: "h")
}

@Suite struct LoginLineTests {
    private func ticket(_ address: UInt8, _ name: String) -> LoginTicket {
        LoginTicket(check(name), key(address)) { _ in }
    }

    private func taken(_ line: inout LoginLine) -> [String?] {
        var names: [String?] = []
        while let ticket = line.next() { names.append(ticket.check?.user) }
        return names
    }

    @Test("addresses take turns, each in its own order")
    func turns() {
        var line = LoginLine()
        for (address, name) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (2, "b2"), (3, "c1")] {
            #expect(line.add(ticket(UInt8(address), name)) == nil)
        }
        #expect(taken(&line) == ["a1", "b1", "c1", "a2", "b2", "a3"])
        #expect(line.count == 0)
    }

    @Test("a full line refuses the newest of the address that has most")
    func full() {
        var line = LoginLine(max: 3)
        let flood = (0..<4).map { ticket(1, "a\($0)") }
        for ticket in flood.prefix(3) { #expect(line.add(ticket) == nil) }
        #expect(line.add(flood[3]) === flood[3])
        #expect(line.add(ticket(2, "b")) === flood[2])
        let second = ticket(2, "b2")
        #expect(line.add(second) === second)
        #expect(taken(&line) == ["a0", "b", "a1"])
    }

    @Test("an address is not spared because the newest of its logins were given up")
    func fullOfCancelled() {
        var line = LoginLine(max: 3)
        let flood = (0..<3).map { ticket(1, "a\($0)") }
        for ticket in flood { #expect(line.add(ticket) == nil) }
        line.cancel(flood[2])
        #expect(line.add(ticket(2, "b")) == nil)
        #expect(line.add(ticket(3, "c")) === flood[1])
        #expect(taken(&line) == ["a0", "b", "c"])
    }

    @Test("those that were given up are passed over, and do not stay for long")
    func cancelled() {
        var line = LoginLine(max: 10)
        for round in 0..<1000 {
            let (gone, other) = (ticket(UInt8(round % 5), "gone"), ticket(9, "other"))
            #expect(line.add(gone) == nil && line.add(other) == nil)
            line.cancel(gone)
            #expect(gone.isCancelled && gone.check == nil)
            if round % 2 == 0 { line.cancel(other) } else { #expect(line.next() === other) }
            #expect(line.count == 0 && line.heldCount <= 65)
        }
        #expect(taken(&line) == [])
    }
}

@Suite struct LoginDelaysTests {
    private func time(_ seconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: seconds * 1_000_000_000)
    }

    @Test("each failure of an address costs more, up to a bound; others and later ones begin anew")
    func grows() {
        var delays = LoginDelays()
        let taken = (0..<5).map { delays.failed(key(1), now: time($0)) }
        #expect(taken == [1, 2, 4, 5, 5].map { Interval.seconds($0) })
        #expect(delays.failed(key(2), now: time(5)) == .seconds(1))
        #expect(delays.failed(nil, now: time(5)) == .seconds(1))
        #expect(delays.failed(key(1), now: time(303)) == .seconds(5))
        #expect(delays.failed(key(1), now: time(603)) == .seconds(1))
    }

    @Test("the table of addresses is bounded")
    func bounded() {
        var delays = LoginDelays()
        for number in 0..<(LoginDelays.addressesMax + 100) {
            let bytes = [10, UInt8(number >> 16), UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)]
            #expect(delays.failed(AddressKey(bytes), now: time(1)) == .seconds(1))
        }
        #expect(delays.count == LoginDelays.addressesMax)
        _ = delays.failed(key(1), now: time(1000))
        #expect(delays.count <= LoginDelays.addressesMax)
    }
}

@Suite struct AddressKeyTests {
    @Test("IPv4 counts by address, also when mapped, IPv6 by its first 64 bits")
    func keys() throws {
        func key(_ address: String) throws -> AddressKey? {
            AddressKey(try SocketAddress(ipAddress: address, port: 1))
        }
        #expect(try key("127.0.0.1") == AddressKey(SocketAddress(ipAddress: "127.0.0.1", port: 2)))
        #expect(try key("127.0.0.1") != key("127.0.0.2"))
        #expect(try key("127.0.0.1") == key("::ffff:127.0.0.1"))
        #expect(try key("2001:db8::1") == key("2001:db8::2"))
        #expect(try key("2001:db8::1") != key("2001:db8:0:1::1"))
        #expect(try key("::1") != key("0.0.0.0"))
        #expect(AddressKey(try SocketAddress(unixDomainSocketPath: "/tmp/x")) == nil)
    }
}

@Suite(.timeLimit(.minutes(1))) struct PasscodeJobTests {
    @Test("a passcode that was right is known by its quick hash, and no other is")
    func known() throws {
        let passcode = Array("correct horse".utf8)
        let hash = try PasscodeHash.make(passcode)
        let setting = try PasscodeHash.quickSetting()
        func run(
            _ passcode: [UInt8],
            user: String? = "web",
            _ hash: String,
            known: PasscodeJob.Known?
        ) -> PasscodeJob.Verdict {
            let check = PasscodeCheck(user: user, passcode: passcode, hash: hash)
            func run(_ step: PasscodeJob.Step) -> PasscodeJob.Verdict {
                PasscodeJob(check: check, step: step, quickSetting: setting).run()
            }
            guard let known else { return run(.slow(quickHash: nil)) }
            let verdict = run(.quick(known))
            guard case .unknown(let quickHash) = verdict else { return verdict }
            return run(.slow(quickHash: quickHash))
        }
        guard case .right(let known) = run(passcode, hash, known: nil) else {
            Issue.record("the right passcode is wrong")
            return
        }
        #expect(known.hash == hash && known.quickHash != hash)
        #expect(run(passcode, hash, known: known) == .right(known))
        #expect(run(Array("wrong horse".utf8), hash, known: known) == .wrong)
        #expect(run(passcode, user: nil, hash, known: known) == .wrong)
        // Another hash in the file: what was known of the old one does not count.
        #expect(run(passcode, try PasscodeHash.decoy(), known: known) == .wrong)
        let long = passcode + [UInt8](repeating: 65, count: 512)
        #expect(run(long, hash, known: nil) == .wrong)
    }

    @Test("a login that was given up while it waited is never answered; the others are, one by one")
    func cancelled() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let decoy = try PasscodeHash.decoy()
        let answered = try await loop.flatSubmit { () -> EventLoopFuture<[Int]> in
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let access = AccessControl(.open, eventLoop: loop, logger: logger)
            let promise = loop.makePromise(of: [Int].self)
            var answered: [Int] = []
            var tickets: [LoginTicket?] = []
            for number in 0..<6 {
                let check = PasscodeCheck(user: nil, passcode: [65], hash: decoy)
                tickets.append(
                    access.check(check, from: key(1)) { outcome in
                        #expect(outcome == .wrong)
                        answered.append(number)
                    }
                )
            }
            // The first is being hashed by now.
            for number in 0..<4 { if let ticket = tickets[number] { access.cancel(ticket) } }
            access.whenIdle = { promise.succeed(answered) }
            return promise.futureResult
        }.get()
        #expect(answered == [4, 5])
        try await group.shutdownGracefully()
    }

    @Test("a passcode that was right before goes before the wrong ones of its own address")
    func knownFirst() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let decoy = try PasscodeHash.decoy()
        let passcode = Array("correct horse".utf8)
        let hash = try PasscodeHash.make(passcode)
        let answered = try await loop.flatSubmit { () -> EventLoopFuture<[String]> in
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let method = Authenticator(.passcodes(hashes: ["web": hash], decoy: decoy))
            let rules = AccessRules(method, permits: [:])
            let access = AccessControl(rules, eventLoop: loop, logger: logger)
            let promise = loop.makePromise(of: [String].self)
            var answered: [String] = []
            func login(_ name: String, _ check: PasscodeCheck) {
                _ = access.check(check, from: key(1)) { outcome in
                    answered.append("\(name) \(outcome == .wrong ? "wrong" : "right")")
                    guard name == "first" else { return }
                    for number in 1...4 {
                        login("\(number)", PasscodeCheck(user: nil, passcode: [65], hash: decoy))
                    }
                    login("other", PasscodeCheck(user: "web", passcode: [66], hash: hash))
                    login("again", PasscodeCheck(user: "web", passcode: passcode, hash: hash))
                }
            }
            login("first", PasscodeCheck(user: "web", passcode: passcode, hash: hash))
            access.whenIdle = { promise.succeed(answered) }
            return promise.futureResult
        }.get()
        // The first of the wrong ones may be under way already.
        #expect(answered.filter { $0 != "1 wrong" }.prefix(2) == ["first right", "again right"])
        #expect(answered.last == "other wrong" && answered.count == 7)
        try await group.shutdownGracefully()
    }
}
