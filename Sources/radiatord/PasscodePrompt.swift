import Glibc
import Synchronization

/// The signal that came while a passcode was asked for; 0 = none.
private let caughtSignal = Atomic<Int32>(0)

/// Asks for a passcode, never as an argument, which everybody on the machine could read.
enum PasscodePrompt {
    /// Past any passcode; a longer line is refused, not cut.
    private static let lineBytesMax = 4096
    /// What ends or stops the command, but not while the terminal shows nothing.
    private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP]
    private static let signalCheckMilliseconds: Int32 = 100

    /// Reads a passcode: twice without echo from a terminal, else the first line of standard input.
    static func read(user: String) throws(UserError) -> [UInt8] {
        guard isatty(STDIN_FILENO) == 1 else { return try line { true } }
        return try deferringSignals { () throws(UserError) in
            let first = try ask("passcode of \(user): ")
            guard try ask("again: ") == first else {
                throw UserError(text: "the two passcodes differ; nothing was changed")
            }
            return first
        }
    }

    private static func ask(_ prompt: String) throws(UserError) -> [UInt8] {
        var settings = termios()
        guard tcgetattr(STDIN_FILENO, &settings) == 0 else {
            throw UserError(
                text: "the terminal does not answer: \(String(cString: strerror(errno)))"
            )
        }
        var silent = settings
        silent.c_lflag &= ~tcflag_t(ECHO)
        guard tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0 else {
            throw UserError(text: "the terminal's echo cannot be switched off; nothing was asked")
        }
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings)
            show("\n")
        }
        show(prompt)
        return try line { waitForInput() }
    }

    /// Keeps signals from ending the command before the terminal is as it was; what came takes effect
    /// then.
    private static func deferringSignals<Result>(
        _ body: () throws(UserError) -> Result
    ) throws(UserError) -> Result {
        // Made before a handler may look at it.
        caughtSignal.store(0, ordering: .relaxed)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { caughtSignal.store($0, ordering: .relaxed) }
        var old = signals.map { _ in sigaction() }
        for (index, signal) in signals.enumerated() { sigaction(signal, &action, &old[index]) }
        defer {
            for (index, signal) in signals.enumerated() { sigaction(signal, &old[index], nil) }
            let caught = caughtSignal.load(ordering: .relaxed)
            if caught != 0 { kill(getpid(), caught) }
        }
        return try body()
    }

    private static func show(_ text: String) { _ = write(STDERR_FILENO, text, text.utf8.count) }

    /// Waits until something was typed; false when a signal came first.
    private static func waitForInput() -> Bool {
        while true {
            if caughtSignal.load(ordering: .relaxed) != 0 { return false }
            var entry = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, signalCheckMilliseconds) > 0 { return true }
        }
    }

    /// One line without its end; byte by byte, so that nothing behind it is taken.
    private static func line(_ isReady: () -> Bool) throws(UserError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count <= lineBytesMax {
            guard isReady() else { throw UserError(text: "interrupted; nothing was changed") }
            var byte: UInt8 = 0
            let count = Glibc.read(STDIN_FILENO, &byte, 1)
            if count < 0, errno == EINTR { continue }
            if count == 0, bytes.isEmpty {
                throw UserError(text: "no passcode was given; nothing was changed")
            }
            guard count > 0, byte != UInt8(ascii: "\n") else {
                if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
                return bytes
            }
            bytes.append(byte)
        }
        throw UserError(text: "the line is longer than \(lineBytesMax) bytes; nothing was changed")
    }
}
