import ArgumentParser
import FoundationEssentials
import Glibc
import Server

/// `radiatord user`: who may log in.
struct UserCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user",
        abstract: "Adds, removes and lists users ([auth] method = \"file\").",
        discussion: "A running daemon takes the changed file when it gets SIGHUP.",
        subcommands: [Add.self, Remove.self, List.self]
    )

    /// Which file of users.
    struct Source: ParsableArguments {
        @Option(help: ArgumentHelp("The users file.", valueName: "file"))
        var users: String?

        @Option(
            help: ArgumentHelp(
                "The configuration file that names it as [auth] users; \"users.toml\" without one.",
                valueName: "file"
            )
        )
        var config: String?

        /// The file's path.
        func path() throws(ConfigurationError) -> String {
            if let users { return users }
            return try Configuration.load(
                .init(config: config),
                environment: ProcessInfo.processInfo.environment
            ).auth.users
        }
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Adds a user, or gives him another passcode.",
            discussion: """
                The passcode is asked for twice on a terminal; otherwise it is the first line of standard \
                input. It has 8 to 511 bytes. Only its hash is kept.
                """
        )

        @Argument(help: "The user's name: 1 to 128 characters, no colon, quote or backslash.")
        var name: String

        @OptionGroup var source: Source

        func run() throws {
            try UserCommand.complain {
                if let problem = UsersFile.problem(name: name) { throw UserError(text: problem) }
                let path = try source.path()
                let passcode = try PasscodePrompt.read(user: name)
                if let problem = PasscodeHash.problem(passcode) { throw UserError(text: problem) }
                let hash = try PasscodeHash.make(passcode)
                let isNew = try UsersFile.change(path, mustExist: false) { users in
                    users.set(hash, for: name)
                }
                print(
                    isNew
                        ? "user \(name) added to \(path)"
                        : "passcode of user \(name) changed in \(path)"
                )
            }
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Removes a user.")

        @Argument(help: "The user's name.")
        var name: String

        @OptionGroup var source: Source

        func run() throws {
            try UserCommand.complain {
                let path = try source.path()
                let wasThere = try UsersFile.change(path, mustExist: true) { users in
                    users.remove(name)
                }
                guard wasThere else {
                    throw UserError(text: "\(path) has no user \(UsersFile.shown(name))")
                }
                print("user \(name) removed from \(path)")
            }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the users' names.")

        @OptionGroup var source: Source

        func run() throws {
            try UserCommand.complain {
                for name in try UsersFile.names(in: try source.path()) { print(name) }
            }
        }
    }

    /// Says what went wrong on standard error, and exits with 1 then.
    private static func complain(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as ConfigurationError {
            for problem in error.problems { Complaint.print("radiatord: \(problem)") }
            throw ExitCode.failure
        } catch {
            throw Complaint.failure(error)
        }
    }
}

/// Why a user was not added or removed; never with a passcode.
struct UserError: Error, CustomStringConvertible {
    let text: String
    var description: String { text }
}
