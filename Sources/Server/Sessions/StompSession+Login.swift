import Base
import Broker
import Logging
import NIOCore
import StompCodec

/// A CONNECT whose login is being checked, or was found wrong and waits for its answer.
struct PendingLogin {
    let version: StompVersion
    let heartBeat: HeartBeat
    /// As the client gave it, fit for the log; nil if it gave none.
    let shownUser: String?
    let receiptID: ByteBuffer?
    let began: MonotonicTime
    /// Its place in the line of checks.
    var ticket: LoginTicket?
    /// What came behind it, as counted over all connections.
    var keptBytes = 0
}

/// From CONNECT to CONNECTED.
extension StompSession {
    /// Decides on a CONNECT, or has its passcode checked and lets the other frames wait.
    func beginLogin(_ frame: StompFrame, version: StompVersion, heartBeat: HeartBeat) {
        let claim = LoginClaim(
            user: frame.string(.login),
            passcode: frame.unescapedBytes(.passcode).map(PasscodeHash.cut),
            certificateUser: certificateUser
        )
        var login = PendingLogin(
            version: version,
            heartBeat: heartBeat,
            shownUser: (claim.user ?? claim.certificateUser).map(UserName.shown),
            // A copy, for the frame's bytes may be many more.
            receiptID: frame.rawValue(.receipt).map { ByteBuffer(bytes: $0.readableBytesView) },
            began: loop.now.monotonic
        )
        switch loop.access.rules.authenticator.decide(claim) {
        case .accepted(let user, let proof): open(login, user, proof)
        case .refused(let reason):
            waitForLogin(login)
            refuse(login, reason)
        case .check(let check):
            login.ticket = loop.access.check(check, from: address) { [self] outcome in
                ended(outcome)
            }
            guard login.ticket != nil else {
                refuseCrowded(login)
                return
            }
            waitForLogin(login)
        }
    }

    private func ended(_ outcome: LoginOutcome) {
        guard let login else { return }
        loop.beginTurn()
        switch outcome {
        case .right(let user, let hash):
            open(login, user, .passcode(hash: hash))
        case .wrong: refuse(login, .wrong)
        case .crowded: refuseCrowded(login)
        case .failed(let reason):
            fail("login not checked", "The login cannot be checked now: \(reason).")
        }
    }

    // MARK: Waiting for a login

    /// Lets the frames behind a CONNECT wait until its login is over.
    func waitForLogin(_ login: PendingLogin) {
        self.login = login
        state = .loggingIn
        releaseUnfinished()
        setPause(.login, true)
    }

    /// Notes frames that wait for the login in front of them.
    func keepFrames() {
        hasFramesLeft = !parser.isIdle
        let byteCount = parser.waitingByteCount
        if byteCount > options.waitingLoginBytesMax {
            failKept("\(options.waitingLoginBytesMax) bytes")
        } else if !loop.frameMemory.keep(byteCount, insteadOf: login?.keptBytes ?? 0) {
            failKept("\(loop.frameMemory.keptBytesMax) bytes over all connections")
        } else {
            login?.keptBytes = byteCount
        }
    }

    private func failKept(_ limit: String) {
        fail("too much before CONNECTED", "More came before the login was checked than \(limit).")
    }

    private func endLogin() {
        _ = loop.frameMemory.keep(0, insteadOf: login?.keptBytes ?? 0)
        login = nil
    }

    /// Handles the frames that waited for a login.
    func goOnAfterLogin() {
        endLogin()
        guard pause.contains(.login) else { return }
        setPause(.login, false)
        goOn()
        if isInputClosed { drain() }
    }

    /// Gives a login up: nobody waits for it any more.
    func cancelLogin() {
        if let ticket = login?.ticket { loop.access.cancel(ticket) }
        endLogin()
    }

    /// Runs something in a while, unless the connection is closed by now.
    func runLater(_ delay: TimeAmount, _ body: @escaping () -> Void) {
        context?.eventLoop.assumeIsolated().scheduleTask(in: delay, body)
    }

    // MARK: Let in

    private func open(_ login: PendingLogin, _ user: String?, _ proof: Identity.Proof) {
        guard let identity = loop.access.rules.identity(user, proof) else {
            fail("access changed", Self.accessChanged, receiptID: login.receiptID)
            return
        }
        if let user, !loop.access.admit(user: user) {
            refuseForLimit("connections_per_user", loop.access.limits.perUser, user: user)
            return
        }
        do throws(BrokerError) {
            let interval = HeartBeat.interval(from: login.heartBeat, to: options.heartBeat)
            let session = try broker.openSession(
                identity,
                hasHeartBeats: interval != nil,
                now: loop.now
            )
            connect(session, identity, version: login.version, client: login.heartBeat)
            logLogin(identity)
            goOnAfterLogin()
        } catch {
            if let user { loop.access.release(user: user) }
            fail(error, receiptID: login.receiptID)
        }
    }

    private func logLogin(_ identity: Identity) {
        guard let user = identity.user else { return }
        loop.access.stats.logins += 1
        let method: Configuration.AuthMethod =
            switch identity.proof {
            case .none: .none
            case .passcode: .file
            case .certificate: .certificate
            }
        loop.logger.info(
            "login",
            metadata: [
                LogKeys.user: "\(user)", LogKeys.peer: "\(peer)",
                LogKeys.method: "\(method.rawValue)",
            ]
        )
    }

    // MARK: Refused

    /// Answers a login that failed: not at once, and later each time.
    private func refuse(_ login: PendingLogin, _ reason: LoginRefusal) {
        let now = loop.now.monotonic
        let delay = loop.access.delayOfFailure(from: address, now: now)
        loop.logLoginRefusal([
            LogKeys.user: "\(login.shownUser ?? "")", LogKeys.peer: "\(peer)",
            LogKeys.reason: "\(reason.rawValue)",
        ])
        let passed = now.since(login.began)
        let left = passed < delay ? delay.nanoseconds - passed.nanoseconds : 0
        runLater(.nanoseconds(Int64(left))) { [self] in
            guard state == .loggingIn else { return }
            loop.beginTurn()
            refuse("access refused", reason.text, receiptID: login.receiptID)
        }
    }

    private func refuseCrowded(_ login: PendingLogin) {
        fail(
            "too many logins",
            "More logins wait to be checked than may: \(loop.access.waitingMax). Try again later.",
            receiptID: login.receiptID
        )
    }

    /// Refuses a connection past a limit of its user or its address.
    func refuseForLimit(_ limit: String, _ value: Int, user: String?, whose: String = "The address")
    {
        loop.access.stats.connectionsRefused += 1
        var metadata: Logger.Metadata = [
            LogKeys.peer: "\(peer)", LogKeys.reason: "\(limit) = \(value)",
        ]
        if let user { metadata[LogKeys.user] = "\(user)" }
        loop.logRefusal("connection refused", level: .notice, metadata)
        let whose = user.map { "User \($0)" } ?? whose
        refuse(
            "too many connections",
            "\(whose) has as many connections as it may: \(limit) = \(value)."
        )
    }

    // MARK: Changed rules

    private static let accessChanged =
        "The broker's users or permissions were changed. Connect again."

    /// Ends the session if its user is gone, has another passcode, or may do something else now.
    func recheckAccess() -> Bool {
        guard state == .connected, let identity else { return false }
        guard loop.access.rules.identity(identity.user, identity.proof) != identity else {
            return false
        }
        fail("access changed", Self.accessChanged)
        return true
    }
}
