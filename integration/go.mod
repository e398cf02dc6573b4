module trireme/integration

go 1.26.0

replace trireme => ../
