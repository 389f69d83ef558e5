"""What a course team uses: the kit on its own machine, the library inside the sandbox, the reply.

library     what a grader program may import in the sandbox; light, standard library only
reply       from a result to what the LMS takes
manifest    what the rest of the product knows about a grader
bundle      its directory as one file
grader_file reading `grader.yaml` (with grader_*, yaml_*, languages)
trying      one answer graded as in production (with describing, local_sandbox, server_client)
checking    a grader's own samples
cli         the command `graders`
"""
