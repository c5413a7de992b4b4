import ArgumentParser
import Base
import Glibc
import LogStore

/// How the tool ends.
enum ExitStatus {
    static let damage = ExitCode(1)
    static let failed = ExitCode(2)
    static let unfinished = ExitCode(3)
}

/// Why a verb cannot do what it was told, as a sentence that says what to do next.
struct ToolFailure: Error {
    let text: String

    init(_ text: String) {
        self.text = text
    }

    init(_ error: LogStoreError) {
        var text = "\(error)"
        if case .inUse = error { text += "; --live reads beside it, where a verb offers that" }
        if case .file(let error) = error, error.reason == .noSpace {
            text += "; free some space, or choose a directory on another disk"
        }
        self.init(text)
    }
}

/// Runs the body of a verb; what fails becomes a line on standard error and exit status 2.
///
/// With `json`, standard output gets it as a document, too.
func reportingFailure<Result>(json: Bool = false, _ body: () throws -> Result) throws -> Result {
    let failure: ToolFailure
    do {
        return try body()
    } catch let error as ToolFailure {
        failure = error
    } catch let error as LogStoreError {
        failure = ToolFailure(error)
    } catch let error as FileError {
        failure = ToolFailure(.file(error))
    }
    if json { print(JSON.object([("error", .string(failure.text))]).text) }
    Terminal.complain("radiator-log: \(failure.text)")
    throw ExitStatus.failed
}

/// Standard error, as text.
enum Terminal {
    /// Whether a person watches standard error.
    static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

    static func complain(_ line: String) { write(line + "\n") }

    static func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes {
                Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count)
            }
            // Nobody reads it: there is no one left to tell.
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }

    /// Lists damage for a verb whose standard output is for lines of data.
    static func complain(_ damage: [Damage]) {
        for item in damage { complain("radiator-log: damage: \(item)") }
    }
}
