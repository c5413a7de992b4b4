import Broker
import DequeModule

/// One login that waits for its check.
///
/// Confinement: broker loop.
final class LoginTicket {
    let address: AddressKey?
    /// Nil once it has been answered or given up.
    private(set) var check: PasscodeCheck?
    /// True while it waits for the quick hash only.
    var isQuick = false
    /// What the quick hash was, which was not the one that is remembered.
    var quickHash: String?
    /// Told once, unless the login is given up before.
    private var whenDone: ((LoginOutcome) -> Void)?

    init(_ check: PasscodeCheck, _ address: AddressKey?, whenDone: @escaping (LoginOutcome) -> Void)
    {
        self.check = check
        self.address = address
        self.whenDone = whenDone
    }

    /// Forgets the login; nobody is told anything.
    func giveUp() {
        check = nil
        whenDone = nil
    }

    /// True if nobody wants to know any more.
    var isCancelled: Bool { whenDone == nil }

    func finish(_ outcome: LoginOutcome) {
        let tell = whenDone
        giveUp()
        tell?(outcome)
    }
}

/// What came of a login's check.
enum LoginOutcome: Sendable, Equatable {
    /// The passcode has the hash that the user had when the login came.
    case right(user: String, hash: String)
    case wrong
    /// Too many wait.
    case crowded
    case failed(String)
}

/// Logins that wait, addresses in turn, so that one that floods does not keep the others out.
struct LoginLine {
    private var lines: [AddressKey?: Deque<LoginTicket>] = [:]
    /// Addresses that have logins, the next first.
    private var turns = Deque<AddressKey?>()
    /// Those that were not given up.
    private(set) var count = 0
    private var cancelledCount = 0

    /// Each holds a passcode and keeps a connection waiting.
    static let waitingMax = 10_000
    private static let cancelledMin = 64

    /// Those that are held, given up or not.
    var heldCount: Int { count + cancelledCount }

    /// How many may wait.
    let max: Int

    init(max: Int = LoginLine.waitingMax) {
        self.max = max
    }

    /// Adds a login at the end of its address's line; returns the one that finds no room.
    ///
    /// That is the newest of the address that has most, which may be this one.
    mutating func add(_ ticket: LoginTicket) -> LoginTicket? {
        var loser: LoginTicket?
        if count >= max {
            // Only then, and over no more addresses than logins may wait.
            if cancelledCount > 0 { forgetCancelled() }
            let own = lines[ticket.address]?.count ?? 0
            let longest = lines.max { $0.value.count < $1.value.count }
            guard let longest, longest.value.count > own + 1,
                let last = lines[longest.key]?.popLast()
            else { return ticket }
            loser = last
            count -= 1
        }
        if lines[ticket.address] == nil { turns.append(ticket.address) }
        lines[ticket.address, default: []].append(ticket)
        count += 1
        return loser
    }

    /// Takes the next login out of the line.
    mutating func next() -> LoginTicket? {
        while let address = turns.popFirst() {
            let ticket = lines[address]?.popFirst()
            if lines[address]?.isEmpty ?? true {
                lines[address] = nil
            } else {
                turns.append(address)
            }
            guard let ticket else { continue }
            if ticket.isCancelled {
                cancelledCount -= 1
                continue
            }
            count -= 1
            return ticket
        }
        return nil
    }

    /// Gives up a login that is in the line.
    ///
    /// O(1) on average: it leaves the line when there are many of its kind.
    mutating func cancel(_ ticket: LoginTicket) {
        ticket.giveUp()
        count -= 1
        cancelledCount += 1
        if cancelledCount > count + Self.cancelledMin { forgetCancelled() }
    }

    private mutating func forgetCancelled() {
        for address in Array(lines.keys) { lines[address]?.removeAll(where: \.isCancelled) }
        lines = lines.filter { !$0.value.isEmpty }
        turns.removeAll { lines[$0] == nil }
        cancelledCount = 0
    }
}
