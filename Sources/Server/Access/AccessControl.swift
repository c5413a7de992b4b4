import Base
import Broker
import Logging
import NIOCore
import NIOPosix

/// Who is connected from where, and who is let in.
///
/// Passcodes are checked on a thread, one at a time: logins cost at most one core, however many come.
///
/// Confinement: broker loop.
final class AccessControl {
    /// How many connections one user and one address may have; 0 = no limit.
    struct ConnectionLimits: Sendable, Equatable {
        var perUser = 0
        var perAddress = 0
    }

    /// What was counted since the start.
    struct Stats: Sendable, Equatable {
        var logins = 0
        var loginsRefused = 0
        var accessRefused = 0
        var connectionsRefused = 0
    }

    private(set) var rules: AccessRules
    /// Logins are counted by the sessions, which say what was let in.
    var stats = Stats()
    private(set) var limits: ConnectionLimits
    /// Called when no check runs any more.
    var whenIdle: () -> Void = {}

    private let eventLoop: any EventLoop
    private let logger: Logger
    private var addresses = Counts<AddressKey>()
    private var users = Counts<String>()
    private var delays = LoginDelays()
    /// Logins that the quick hash may answer: who was here before does not wait for strangers, not even
    /// for those behind the same address.
    private var quickLine: LoginLine
    private var slowLine: LoginLine
    /// Logins of the quick line that were taken since one of the other.
    private var quickCount = 0
    private var running: LoginTicket?
    /// Passcodes that were right lately, by user.
    private var known: [String: PasscodeJob.Known] = [:]
    private var quickSetting: String?

    /// Quick hashes before a slow one gets its turn: together they take about as long.
    private static let quickCountMax = 50

    init(
        _ rules: AccessRules,
        limits: ConnectionLimits = ConnectionLimits(),
        eventLoop: any EventLoop,
        logger: Logger,
        waitingMax: Int = LoginLine.waitingMax
    ) {
        self.rules = rules
        self.limits = limits
        self.eventLoop = eventLoop
        self.logger = logger
        quickLine = LoginLine(max: waitingMax)
        slowLine = LoginLine(max: waitingMax)
    }

    /// Takes changed rules; whoever is connected is to be looked at again.
    func apply(_ rules: AccessRules, limits: ConnectionLimits) {
        self.rules = rules
        self.limits = limits
        known = known.filter { rules.authenticator.accepts($0.key, .passcode(hash: $0.value.hash)) }
    }

    // MARK: Counting

    /// Counts a connection; false if its address has as many as it may.
    func admit(_ address: AddressKey) -> Bool { addresses.add(address, max: limits.perAddress) }

    func release(_ address: AddressKey) { addresses.remove(address) }

    /// Counts a session of a user; false if he has as many as he may.
    func admit(user: String) -> Bool { users.add(user, max: limits.perUser) }

    func release(user: String) { users.remove(user) }

    // MARK: Logins

    /// How many logins may wait in either line.
    var waitingMax: Int { slowLine.max }

    /// Counts a login that failed; returns how long its answer waits, from when it was received.
    func delayOfFailure(from address: AddressKey?, now: MonotonicTime) -> Interval {
        stats.loginsRefused += 1
        return delays.failed(address, now: now)
    }

    /// Has a passcode checked when its turn has come; `whenDone` is called on the loop, not before
    /// this returns.
    ///
    /// Nil if too many wait already; `whenDone` is not called then.
    func check(
        _ check: PasscodeCheck,
        from address: AddressKey?,
        whenDone: @escaping (LoginOutcome) -> Void
    ) -> LoginTicket? {
        let ticket = LoginTicket(check, address, whenDone: whenDone)
        ticket.isQuick = isRemembered(check)
        let loser = ticket.isQuick ? quickLine.add(ticket) : slowLine.add(ticket)
        if loser === ticket { return nil }
        loser?.finish(.crowded)
        startNext()
        return ticket
    }

    /// Forgets a login that nobody waits for any more; its passcode is not hashed if that has not begun.
    func cancel(_ ticket: LoginTicket) {
        if ticket === running {
            ticket.giveUp()
        } else if !ticket.isCancelled {
            if ticket.isQuick { quickLine.cancel(ticket) } else { slowLine.cancel(ticket) }
        }
    }

    /// True while a thread computes a hash.
    var isBusy: Bool { running != nil }

    private func startNext() {
        guard running == nil, let ticket = nextTicket(), let check = ticket.check else { return }
        do throws(PasscodeHashError) {
            let setting = try quick()
            running = ticket
            let step = step(ticket, check)
            // Also in the quick line, if the passcode that was remembered is none any more.
            if ticket.isQuick, case .slow = step { quickCount = Self.quickCountMax }
            let job = PasscodeJob(check: check, step: step, quickSetting: setting)
            NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { job.run() }
                .assumeIsolated()
                .whenComplete { [self] result in finished(ticket, check.user, result) }
        } catch {
            // Not before `check` has returned.
            let reason = error.text
            eventLoop.assumeIsolated().execute { [self] in
                fail(ticket, reason)
                startNext()
            }
        }
    }

    private func isRemembered(_ check: PasscodeCheck) -> Bool {
        check.user.map { known[$0]?.hash == check.hash } ?? false
    }

    private func nextTicket() -> LoginTicket? {
        if quickCount < Self.quickCountMax, let ticket = quickLine.next() {
            quickCount += 1
            return ticket
        }
        quickCount = 0
        return slowLine.next() ?? quickLine.next()
    }

    private func step(_ ticket: LoginTicket, _ check: PasscodeCheck) -> PasscodeJob.Step {
        if ticket.isQuick, let user = check.user, let known = known[user] { return .quick(known) }
        return .slow(quickHash: ticket.quickHash)
    }

    /// Has a login wait for the slow hash whose passcode is not the one that is remembered.
    private func waitOn(_ ticket: LoginTicket, _ quickHash: String) {
        guard !ticket.isCancelled else { return }
        ticket.isQuick = false
        ticket.quickHash = quickHash
        slowLine.add(ticket)?.finish(.crowded)
    }

    private func quick() throws(PasscodeHashError) -> String {
        if let quickSetting { return quickSetting }
        let made = try PasscodeHash.quickSetting()
        quickSetting = made
        return made
    }

    private func finished(
        _ ticket: LoginTicket,
        _ user: String?,
        _ result: Result<PasscodeJob.Verdict, any Error>
    ) {
        running = nil
        switch result {
        case .success(.right(let passcode)):
            guard let user else { break }
            if rules.authenticator.accepts(user, .passcode(hash: passcode.hash)) {
                known[user] = passcode
            }
            ticket.finish(.right(user: user, hash: passcode.hash))
        case .success(.wrong): ticket.finish(.wrong)
        case .success(.unknown(let quickHash)): waitOn(ticket, quickHash)
        case .success(.failed(let reason)): fail(ticket, reason)
        case .failure(let error): fail(ticket, "\(error)")
        }
        startNext()
        if running == nil { whenIdle() }
    }

    private func fail(_ ticket: LoginTicket, _ reason: String) {
        logger.error("a login cannot be checked", metadata: [LogKeys.reason: "\(reason)"])
        ticket.finish(.failed(reason))
    }
}
