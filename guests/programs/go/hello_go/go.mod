module coracle/guests/hello_go

go 1.21
